/* api.h - the engines' HTTP API */
#ifndef ES_API_H
#define ES_API_H

#include "http.h"

extern const struct es_route es_api_routes[];
extern const size_t es_api_n_routes;

/** es_sglang_routes - SGLang's; the first one is /metrics, which wants a flag */
extern const struct es_route es_sglang_routes[];
extern const size_t es_sglang_n_routes;

/** es_llama_routes - llama-server's; the first one is /metrics without --metrics, the last one with
 */
extern const struct es_route es_llama_routes[];
extern const size_t es_llama_n_routes;

/** es_atlas_routes - Atlas's */
extern const struct es_route es_atlas_routes[];
extern const size_t es_atlas_n_routes;

/** es_health_routes - what an SGLang rank above 0 answers */
extern const struct es_route es_health_routes[];
extern const size_t es_health_n_routes;

/** es_api_guard() - false, after an answer of 401, for a /v1 path without a right key */
bool es_api_guard(struct es_req *req);

/* Shared by the handlers in api*.c. */

/** es_fail() - an error in OpenAI's form; @param may be NULL */
void es_fail(struct es_req *req, int status, const char *type, const char *param, const char *fmt,
		...) __attribute__((format(printf, 5, 6)));

/** es_body() - the request's JSON object; NULL after an error was answered. The caller owns it. */
json_t *es_body(struct es_req *req);

/** es_model_ok() - false, after an answer of 404, if the body names a model that is not served */
bool es_model_ok(struct es_req *req, const json_t *body);

/** es_text_of() - append a string, or the text parts of a list of parts, to @out */
struct es_buf;
void es_text_of(const json_t *content, struct es_buf *out);

/** es_fresh_id() - "PREFIX-<32 hex digits>" */
void es_fresh_id(const char *prefix, char *ret, size_t cap);

void es_on_chat(struct es_req *req);
void es_on_completions(struct es_req *req);
void es_on_embeddings(struct es_req *req);
void es_on_score(struct es_req *req);
void es_on_rerank(struct es_req *req);
void es_on_tokenize(struct es_req *req);

#endif
