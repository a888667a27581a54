/* api_pool.c - embeddings, scores, tokenize: numbers that depend on the text alone */
#include "api.h"

#include "engine.h"

#include <math.h>
#include <string.h>

#define DIMENSIONS   64
#define INPUTS_MAX   256
#define TOKENIZE_MAX 65536 /* tokens listed in one answer */

/* FNV-1a: small, and the same on every machine. */
static uint64_t hash(const char *p, size_t len, uint64_t h)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
	return h;
}

/* A unit vector: each word adds its own direction, so texts that share words are alike. */
static void embed(const char *text, double *v)
{
	const char *word, *at = text;
	size_t len;
	double norm = 0;

	memset(v, 0, DIMENSIONS * sizeof(*v));
	while (es_word(&at, &word, &len))
		for (uint64_t d = 0; d < DIMENSIONS; d++) {
			size_t skip = strspn(word, " \t\r\n");
			uint64_t h = hash(word + skip, len - skip,
					0xcbf29ce484222325u ^ d * 0x9e3779b97f4a7c15u);

			v[d] += (double)(h >> 40) / (1 << 24) - 0.5;
		}
	for (int d = 0; d < DIMENSIONS; d++)
		norm += v[d] * v[d];
	for (int d = 0; d < DIMENSIONS; d++)
		v[d] = norm > 0 ? v[d] / sqrt(norm) : d == 0;
}

/* Let the engine read a text. Return: its tokens, or -1 if the client went. */
static int pool(struct es_req *req, const char *text)
{
	struct es_gen g = { .client = req->fd, .prompt_tokens = es_words(text) };

	if (es_gen_begin(&g) < 0) {
		req->broken = true;
		return -1;
	}
	es_gen_end(&g, "stop");
	return g.prompt_tokens;
}

/* Return: the request's object if a pooling model can serve it; NULL after an error. */
static json_t *pool_body(struct es_req *req, const char *api)
{
	json_t *body = es_body(req);

	if (!body)
		return NULL;
	if (es_model_ok(req, body)) {
		if (es_config.pooling)
			return body;
		es_fail(req, 400, "BadRequestError", NULL, "The model does not support %s API",
				api);
	}
	json_decref(body);
	return NULL;
}

/* The texts of a string or a list of strings: item @i. */
static const char *text_at(const json_t *in, size_t i)
{
	const char *s = json_string_value(json_is_array(in) ? json_array_get(in, i) : in);

	return s ? s : "";
}

static size_t text_count(const json_t *in)
{
	return json_is_string(in) ? 1 : json_array_size(in);
}

static bool inputs_ok(struct es_req *req, const json_t *in, const char *param)
{
	if (text_count(in) >= 1 && text_count(in) <= INPUTS_MAX)
		return true;
	es_fail(req, 400, "BadRequestError", param, "%s must be a text or 1 to %d of them", param,
			INPUTS_MAX);
	return false;
}

static json_t *usage(int tokens)
{
	return json_pack("{s:i, s:i, s:i}", "prompt_tokens", tokens, "total_tokens", tokens,
			"completion_tokens", 0);
}

void es_on_embeddings(struct es_req *req)
{
	json_t *body = pool_body(req, "Embeddings"), *in = json_object_get(body, "input");
	json_t *data = json_array(), *v;
	double vec[DIMENSIONS];
	int tokens = 0;
	char id[80];

	for (size_t i = 0; body && inputs_ok(req, in, "input") && i < text_count(in); i++) {
		int n = pool(req, text_at(in, i));

		if (n < 0)
			break;
		tokens += n;
		embed(text_at(in, i), vec);
		v = json_array();
		for (int d = 0; d < DIMENSIONS; d++)
			json_array_append_new(v, json_real(vec[d]));
		json_array_append_new(data,
				json_pack("{s:i, s:s, s:o}", "index", (int)i, "object", "embedding",
						"embedding", v));
	}
	es_fresh_id("embd", id, sizeof(id));
	if (json_array_size(data) && !req->broken)
		es_reply_json(req, 200,
				json_pack("{s:s, s:s, s:s, s:O, s:o}", "id", id, "object", "list",
						"model", es_config.names[0], "data", data, "usage",
						usage(tokens)));
	json_decref(data);
	json_decref(body);
}

/* Score @texts against @query. Return: scores; NULL if the client went. */
static json_t *score_all(
		struct es_req *req, const json_t *queries, const json_t *texts, int *ret_tokens)
{
	json_t *out = json_array();
	double a[DIMENSIONS], b[DIMENSIONS];

	for (size_t i = 0; i < text_count(texts); i++) {
		const char *query = text_at(queries, text_count(queries) > 1 ? i : 0);
		double dot = 0;
		int n = pool(req, query), m = n < 0 ? -1 : pool(req, text_at(texts, i));

		if (m < 0) {
			json_decref(out);
			return NULL;
		}
		*ret_tokens += n + m;
		embed(query, a);
		embed(text_at(texts, i), b);
		for (int d = 0; d < DIMENSIONS; d++)
			dot += a[d] * b[d];
		json_array_append_new(out, json_real((1 + dot) / 2));
	}
	return out;
}

void es_on_score(struct es_req *req)
{
	json_t *body = pool_body(req, "Score"), *one, *two, *scores, *data;
	int tokens = 0;
	char id[80];

	if (!body)
		return;
	one = json_object_get(body, "text_1");
	two = json_object_get(body, "text_2");
	if (inputs_ok(req, one, "text_1") && inputs_ok(req, two, "text_2") &&
			(scores = score_all(req, one, two, &tokens))) {
		data = json_array();
		for (size_t i = 0; i < json_array_size(scores); i++)
			json_array_append_new(data,
					json_pack("{s:i, s:s, s:O}", "index", (int)i, "object",
							"score", "score",
							json_array_get(scores, i)));
		es_fresh_id("score", id, sizeof(id));
		es_reply_json(req, 200,
				json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", id, "object", "list",
						"model", es_config.names[0], "data", data, "usage",
						usage(tokens)));
		json_decref(scores);
	}
	json_decref(body);
}

/* The results in falling order of score; equal ones keep their order. */
static json_t *ranked(const json_t *docs, json_t *scores)
{
	json_t *out = json_array();
	size_t n = json_array_size(scores), at, j;

	for (size_t i = 0; i < n; i++) {
		double s = json_real_value(json_array_get(scores, i));

		for (at = 0; at < i; at++) {
			json_t *r = json_array_get(out, at);

			if (json_real_value(json_object_get(r, "relevance_score")) < s)
				break;
		}
		j = at;
		json_array_insert_new(out, j,
				json_pack("{s:i, s:{s:s}, s:f}", "index", (int)i, "document",
						"text", text_at(docs, i), "relevance_score", s));
	}
	return out;
}

void es_on_rerank(struct es_req *req)
{
	json_t *body = pool_body(req, "Rerank"), *query, *docs, *scores;
	int tokens = 0;
	char id[80];

	if (!body)
		return;
	query = json_object_get(body, "query");
	docs = json_object_get(body, "documents");
	if (inputs_ok(req, query, "query") && inputs_ok(req, docs, "documents") &&
			(scores = score_all(req, query, docs, &tokens))) {
		es_fresh_id("rerank", id, sizeof(id));
		es_reply_json(req, 200,
				json_pack("{s:s, s:s, s:{s:i}, s:o}", "id", id, "model",
						es_config.names[0], "usage", "total_tokens", tokens,
						"results", ranked(docs, scores)));
		json_decref(scores);
	}
	json_decref(body);
}

void es_on_tokenize(struct es_req *req)
{
	json_t *body = es_body(req), *tokens = json_array(), *messages;
	struct es_buf text = { 0 };
	const char *word, *at;
	size_t len;
	int n = 0;

	es_buf_add(&text, "", 0);
	if (body && es_model_ok(req, body)) {
		es_text_of(json_object_get(body, "prompt"), &text);
		messages = json_object_get(body, "messages");
		for (size_t i = 0; i < json_array_size(messages); i++)
			es_text_of(json_object_get(json_array_get(messages, i), "content"), &text);
		at = text.p;
		for (; n < TOKENIZE_MAX && es_word(&at, &word, &len); n++)
			json_array_append_new(tokens,
					json_integer((json_int_t)(hash(word, len, 0xcbf29ce484222325u) %
							151936)));
		es_reply_json(req, 200,
				json_pack("{s:i, s:I, s:O, s:n}", "count", n, "max_model_len",
						(json_int_t)es_config.max_model_len, "tokens",
						tokens, "token_strs"));
	}
	es_buf_free(&text);
	json_decref(tokens);
	json_decref(body);
}
