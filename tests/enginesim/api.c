/* api.c - the routes that generate nothing, and what the others share */
#include "api.h"

#include "engine.h"
#include "fault.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void es_fail(struct es_req *req, int status, const char *type, const char *param, const char *fmt,
		...)
{
	struct es_buf text = { 0 };
	char piece[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(piece, sizeof(piece), fmt, ap);
	va_end(ap);
	es_buf_printf(&text, "%s", piece);
	es_reply_json(req, status,
			json_pack("{s:{s:s, s:s, s:s?, s:i}}", "error", "message", text.p, "type",
					type, "param", param, "code", status));
	es_buf_free(&text);
}

json_t *es_body(struct es_req *req)
{
	json_error_t error;
	json_t *j = json_loadb(req->body, req->body_len, JSON_ALLOW_NUL, &error);

	if (json_is_object(j))
		return j;
	es_fail(req, 400, "Bad Request", NULL,
			"[{'type': 'json_invalid', 'loc': ('body', %d), 'msg': 'JSON decode "
			"error', "
			"'input': {}, 'ctx': {'error': '%s'}}]",
			j ? 0 : error.position, j ? "a JSON object is expected" : error.text);
	json_decref(j);
	return NULL;
}

bool es_model_ok(struct es_req *req, const json_t *body)
{
	const json_t *model = json_object_get(body, "model");

	if (!model || json_is_null(model) || es_config.any_name)
		return true;
	for (size_t i = 0; json_is_string(model) && i < es_config.n_names; i++)
		if (!strcmp(json_string_value(model), es_config.names[i]))
			return true;
	es_fail(req, 404, "NotFoundError", "model", "The model `%.200s` does not exist.",
			json_is_string(model) ? json_string_value(model) : "?");
	return false;
}

void es_text_of(const json_t *content, struct es_buf *out)
{
	json_t *part, *text;
	size_t i;

	if (json_is_string(content))
		es_buf_printf(out, "%s%s", out->len ? " " : "", json_string_value(content));
	for (i = 0; json_is_array(content) && i < json_array_size(content); i++) {
		part = json_array_get(content, i);
		text = json_is_object(part) ? json_object_get(part, "text") : part;
		if (json_is_string(text))
			es_buf_printf(out, "%s%s", out->len ? " " : "", json_string_value(text));
	}
}

void es_fresh_id(const char *prefix, char *ret, size_t cap)
{
	static atomic_uint count;

	snprintf(ret, cap, "%s-%08x%08x%08lx%08x", prefix, (unsigned)getpid(), (unsigned)time(NULL),
			(unsigned long)(es_now() * 1e6) & 0xffffffff, atomic_fetch_add(&count, 1));
}

bool es_api_guard(struct es_req *req)
{
	if (!es_config.n_api_keys || strncmp(req->path, "/v1", 3) ||
			!strcmp(req->method, "OPTIONS"))
		return true;
	for (size_t i = 0; i < es_config.n_api_keys; i++)
		if (!strncmp(req->authorization, "Bearer ", 7) &&
				!strcmp(req->authorization + 7, es_config.api_keys[i]))
			return true;
	es_reply_json(req, 401, json_pack("{s:s}", "error", "Unauthorized"));
	return false;
}

static void on_health(struct es_req *req)
{
	es_reply(req, 200, NULL, "", 0);
}

/* SGLang generates a token to find out. */
static void on_health_generate(struct es_req *req)
{
	es_reply(req, es_fault_on(ES_FAULT_HANG) ? 503 : 200, NULL, "", 0);
}

static void on_model_info(struct es_req *req)
{
	es_reply_json(req, 200,
			json_pack("{s:s, s:s, s:b}", "model_path", es_config.model,
					"tokenizer_path", es_config.model, "is_generation",
					!es_config.pooling));
}

static void on_status(struct es_req *req)
{
	es_reply_json(req, 200, json_pack("{s:s}", "status", "ok"));
}

static void on_no_metrics(struct es_req *req)
{
	es_fail(req, 501, "not_supported_error", NULL,
			"This server does not support metrics endpoint. Start it with `--metrics`");
}

static void on_version(struct es_req *req)
{
	es_reply_json(req, 200, json_pack("{s:s}", "version", es_config.version));
}

static void on_models(struct es_req *req)
{
	json_t *data = json_array();

	for (size_t i = 0; i < es_config.n_names; i++)
		json_array_append_new(data,
				json_pack("{s:s, s:s, s:I, s:s, s:s, s:n, s:I, s:[]}", "id",
						es_config.names[i], "object", "model", "created",
						(json_int_t)time(NULL), "owned_by",
						es_config.style->owner, "root", es_config.model,
						"parent", "max_model_len",
						(json_int_t)es_config.max_model_len, "permission"));
	es_reply_json(req, 200, json_pack("{s:s, s:o}", "object", "list", "data", data));
}

static void on_metrics(struct es_req *req)
{
	struct es_buf out = { 0 };

	es_config.style->metrics(&out);
	es_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", out.p, out.len);
	es_buf_free(&out);
}

static void on_fault(struct es_req *req)
{
	char name[32] = "", value[16] = "on";

	es_query(req, "value", value, sizeof(value));
	if (!es_query(req, "name", name, sizeof(name)) ||
			es_fault_set(name, es_is_true(value)) < 0) {
		es_fail(req, 400, "BadRequestError", "name",
				"name must be hang, tools_400 or ignore_term");
		return;
	}
	es_reply_json(req, 200, json_pack("{s:b}", name, es_is_true(value)));
}

static void on_crash(struct es_req *req)
{
	es_reply_json(req, 200, json_pack("{s:b}", "crash", 1));
	es_crash("asked to by POST /enginesim/crash");
}

const struct es_route es_api_routes[] = {
	{ "GET", "/health", on_health },
	{ "GET", "/ping", on_health },
	{ "POST", "/ping", on_health },
	{ "GET", "/version", on_version },
	{ "GET", "/metrics", on_metrics },
	{ "GET", "/v1/models", on_models },
	{ "POST", "/v1/completions", es_on_completions },
	{ "POST", "/v1/chat/completions", es_on_chat },
	{ "POST", "/v1/embeddings", es_on_embeddings },
	{ "POST", "/score", es_on_score },
	{ "POST", "/v1/score", es_on_score },
	{ "POST", "/rerank", es_on_rerank },
	{ "POST", "/v1/rerank", es_on_rerank },
	{ "POST", "/v2/rerank", es_on_rerank },
	{ "POST", "/tokenize", es_on_tokenize },
	{ "POST", "/enginesim/fault", on_fault },
	{ "POST", "/enginesim/crash", on_crash },
};

const size_t es_api_n_routes = ES_COUNTOF(es_api_routes);

const struct es_route es_sglang_routes[] = {
	{ "GET", "/metrics", on_metrics },
	{ "GET", "/health", on_health_generate },
	{ "GET", "/health_generate", on_health_generate },
	{ "GET", "/get_model_info", on_model_info },
	{ "GET", "/model_info", on_model_info },
	{ "GET", "/v1/models", on_models },
	{ "POST", "/v1/completions", es_on_completions },
	{ "POST", "/v1/chat/completions", es_on_chat },
	{ "POST", "/v1/embeddings", es_on_embeddings },
	{ "POST", "/v1/score", es_on_score },
	{ "POST", "/v1/rerank", es_on_rerank },
	{ "POST", "/enginesim/fault", on_fault },
	{ "POST", "/enginesim/crash", on_crash },
};

const size_t es_sglang_n_routes = ES_COUNTOF(es_sglang_routes);

const struct es_route es_health_routes[] = {
	{ "GET", "/health", on_health },
	{ "GET", "/health_generate", on_health },
};

const size_t es_health_n_routes = ES_COUNTOF(es_health_routes);

const struct es_route es_llama_routes[] = {
	{ "GET", "/metrics", on_no_metrics },
	{ "GET", "/health", on_status },
	{ "GET", "/v1/health", on_status },
	{ "GET", "/models", on_models },
	{ "GET", "/v1/models", on_models },
	{ "POST", "/v1/completions", es_on_completions },
	{ "POST", "/v1/chat/completions", es_on_chat },
	{ "POST", "/chat/completions", es_on_chat },
	{ "POST", "/v1/embeddings", es_on_embeddings },
	{ "POST", "/rerank", es_on_rerank },
	{ "POST", "/v1/rerank", es_on_rerank },
	{ "POST", "/enginesim/fault", on_fault },
	{ "POST", "/enginesim/crash", on_crash },
	{ "GET", "/metrics", on_metrics },
};

const size_t es_llama_n_routes = ES_COUNTOF(es_llama_routes);

const struct es_route es_atlas_routes[] = {
	{ "GET", "/health", on_status },
	{ "GET", "/v1/models", on_models },
	{ "POST", "/v1/completions", es_on_completions },
	{ "POST", "/v1/chat/completions", es_on_chat },
	{ "POST", "/enginesim/fault", on_fault },
	{ "POST", "/enginesim/crash", on_crash },
};

const size_t es_atlas_n_routes = ES_COUNTOF(es_atlas_routes);
