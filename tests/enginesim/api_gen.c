/* api_gen.c - /v1/completions and /v1/chat/completions
 *
 * The answer is made of words known beforehand, one token each; the engine sets the pace. A thread
 * walks through them: thoughts first if there is a reasoning parser, then the text or a tool call.
 */
#include "api.h"

#include "engine.h"
#include "fault.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ECHO_WORDS                40 /* of the question that the answer repeats */
#define TEMPLATE_TOKENS           4  /* that a chat template adds to a message */
#define COMPLETION_DEFAULT_TOKENS 16
#define PROMPTS_MAX               64 /* of one /v1/completions request */

struct job {
	struct es_req *req;
	bool chat;
	bool stream;
	bool usage_wanted;
	bool ignore_eos;
	char id[80];
	json_int_t created;
	const char *model;
	int index;        /* of the choice */
	char *thoughts;   /* NULL: none */
	char *text;       /* NULL: a tool call instead */
	const char *tool; /* name of the function to call */
	int min_tokens;

	struct es_gen gen;
	struct es_buf out_thoughts;
	struct es_buf out_text;
	const char *reason; /* stop, length, tool_calls; NULL: the client went */
};

static long num(const json_t *body, const char *name, long fallback)
{
	const json_t *v = json_object_get(body, name);

	double d = json_number_value(v);

	if (!json_is_number(v))
		return fallback;
	return d > 1e9 ? 1000000000 : d < -1e9 ? -1000000000 : (long)d;
}

static bool flag(const json_t *body, const char *name)
{
	return json_is_true(json_object_get(body, name));
}

/* Room left for output, or -1 after an answer of 400. */
static int output_room(struct job *j, const json_t *body)
{
	long room = es_config.max_model_len - j->gen.prompt_tokens;
	long want = num(body, "max_tokens", LONG_MIN);

	want = num(body, "max_completion_tokens", want);
	if (want == LONG_MIN)
		want = j->chat ? room : COMPLETION_DEFAULT_TOKENS;
	if (room < 1 || want > room) {
		es_fail(j->req, 400, "BadRequestError", "input_tokens",
				"This model's maximum context length is %ld tokens. However, you "
				"requested %ld "
				"output tokens and your prompt contains %d input tokens. Please "
				"reduce the length "
				"of the input prompt or the number of requested output tokens.",
				es_config.max_model_len, want, j->gen.prompt_tokens);
		return -1;
	}
	if (want < 1) {
		es_fail(j->req, 400, "BadRequestError", "max_tokens",
				"max_tokens must be at least 1, got %ld.", want);
		return -1;
	}
	return (int)want;
}

static void make_text(struct job *j, const char *question)
{
	struct es_buf b = { 0 };
	const char *word, *at = question;
	size_t len;

	es_buf_printf(&b,
			"Hello! I am enginesim, standing in for %s across %d rank%s. No model was "
			"loaded, so these words come from a program, not from a network.",
			es_config.model, es_config.ranks, es_config.ranks == 1 ? "" : "s");
	for (int i = 0; i < ECHO_WORDS && es_word(&at, &word, &len); i++) {
		if (!i)
			es_buf_add(&b, " You asked: \"", 13);
		while (!i && len && strchr(" \t\r\n\v\f", *word)) {
			word++;
			len--;
		}
		es_buf_add(&b, word, len);
	}
	if (es_words(question))
		es_buf_printf(&b, "%s\"", es_words(question) > ECHO_WORDS ? " ..." : "");
	j->text = b.p;
}

static json_t *usage(const struct es_gen *g)
{
	return json_pack("{s:i, s:i, s:i, s:n}", "prompt_tokens", g->prompt_tokens,
			"completion_tokens", g->generated, "total_tokens",
			g->prompt_tokens + g->generated, "prompt_tokens_details");
}

static json_t *chunk(const struct job *j, json_t *choices)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", j->id, "object",
			j->chat ? "chat.completion.chunk" : "text_completion", "created",
			j->created, "model", j->model, "choices", choices);
}

static json_t *reason_or_null(const char *reason)
{
	return reason ? json_string(reason) : json_null();
}

/* One event with a piece of the answer: @delta, which it takes over, for chat; @text otherwise. */
static void send_piece(struct job *j, json_t *delta, const char *text, const char *reason)
{
	json_t *choice = json_pack("{s:i, s:n, s:o}", "index", j->index, "logprobs",
			"finish_reason", reason_or_null(reason));

	if (j->chat)
		json_object_set_new(choice, "delta", delta);
	else
		json_object_set_new(choice, "text", json_string(text));
	es_sse_json(j->req, chunk(j, json_pack("[o]", choice)));
}

static void emit(struct job *j, bool thought, const char *word, size_t len)
{
	struct es_buf *to = thought ? &j->out_thoughts : &j->out_text;
	size_t from = to->len;
	json_t *delta = NULL;

	es_buf_add(to, word, len);
	if (!j->stream)
		return;
	if (j->chat && thought) /* vLLM is moving from one name to the other and sends both */
		delta = json_pack("{s:s, s:s}", "reasoning_content", to->p + from, "reasoning",
				to->p + from);
	else if (j->chat)
		delta = json_pack("{s:s}", "content", to->p + from);
	send_piece(j, delta, to->p + from, NULL);
}

/* Generate the words of @text; with @endless, over and over. Return: false when it is over for the
 * whole request: no tokens left, or no client. */
static bool speak(struct job *j, const char *text, bool thought, bool endless)
{
	struct es_gen *g = &j->gen;
	const char *word, *at = text;
	size_t len;

	for (;;) {
		if (!es_word(&at, &word, &len)) {
			if (!endless && g->generated >= j->min_tokens)
				return true;
			at = text;
			continue;
		}
		if (g->generated >= g->max_tokens) {
			j->reason = "length";
			return false;
		}
		if (j->req->broken || es_gen_token(g) < 0)
			return false;
		emit(j, thought, word, len);
	}
}

/* A call is two tokens: the name and the arguments. */
static bool call_tool(struct job *j)
{
	json_t *call;

	for (int i = 0; i < 2; i++) {
		if (j->gen.generated >= j->gen.max_tokens) {
			j->reason = "length";
			return false;
		}
		if (es_gen_token(&j->gen) < 0)
			return false;
	}
	if (!j->stream)
		return true;
	call = json_pack("{s:i, s:s, s:s, s:{s:s, s:s}}", "index", 0, "id", j->id, "type",
			"function", "function", "name", j->tool, "arguments", "{}");
	send_piece(j, json_pack("{s:[o]}", "tool_calls", call), "", NULL);
	return true;
}

static void generate(struct job *j)
{
	bool whole;

	j->reason = NULL;
	if (es_gen_begin(&j->gen) < 0)
		return;
	if (j->stream && j->chat)
		send_piece(j, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), "",
				NULL);
	whole = !j->thoughts || speak(j, j->thoughts, true, false);
	if (whole)
		whole = j->text ? speak(j, j->text, false, j->ignore_eos) : call_tool(j);
	if (whole)
		j->reason = j->text ? "stop" : "tool_calls";
	es_gen_end(&j->gen, !j->reason ? "abort" : strcmp(j->reason, "length") ? "stop" : "length");
	if (!j->reason)
		j->req->broken = true;
	else if (j->stream)
		send_piece(j, j->chat ? json_object() : NULL, "", j->reason);
}

static void stream_end(struct job *j, const struct es_gen *total)
{
	json_t *last;

	if (j->usage_wanted && !j->req->broken) {
		last = chunk(j, json_array());
		json_object_set_new(last, "usage", usage(total));
		es_sse_json(j->req, last);
	}
	es_sse(j->req, "[DONE]");
	es_sse_end(j->req);
}

/* What both kinds of request share. Return: -1 after an answer of an error. */
static int job_init(struct job *j, struct es_req *req, const json_t *body, bool chat)
{
	*j = (struct job){ .req = req, .chat = chat, .stream = flag(body, "stream") };
	if (!es_model_ok(req, body))
		return -1;
	if (es_config.pooling) {
		es_fail(req, 400, "BadRequestError", NULL, "The model does not support %s API",
				chat ? "Chat Completions" : "Completions");
		return -1;
	}
	if (num(body, "n", 1) != 1) {
		es_fail(req, 400, "BadRequestError", "n",
				"enginesim gives one answer a prompt (n=1)");
		return -1;
	}
	es_fresh_id(chat ? "chatcmpl" : "cmpl", j->id, sizeof(j->id));
	j->created = (json_int_t)time(NULL);
	j->model = es_config.names[0];
	if (json_is_string(json_object_get(body, "model")))
		j->model = json_string_value(json_object_get(body, "model"));
	j->usage_wanted = flag(json_object_get(body, "stream_options"), "include_usage");
	j->ignore_eos = flag(body, "ignore_eos");
	j->min_tokens = (int)num(body, "min_tokens", 0);
	j->gen.client = req->fd;
	return 0;
}

static void job_done(struct job *j)
{
	free(j->thoughts);
	free(j->text);
	es_buf_free(&j->out_thoughts);
	es_buf_free(&j->out_text);
}

/* Read the messages: count them as a prompt, keep the last of the user. Return: -1 after an error.
 */
static int read_messages(struct job *j, const json_t *body, struct es_buf *question)
{
	const json_t *messages = json_object_get(body, "messages"), *message;
	struct es_buf all = { 0 };

	if (!json_is_array(messages) || !json_array_size(messages)) {
		es_fail(j->req, 400, "BadRequestError", "messages",
				"messages must be a list with content");
		return -1;
	}
	es_buf_add(&all, "", 0);
	for (size_t i = 0; i < json_array_size(messages); i++) {
		const char *role;

		message = json_array_get(messages, i);
		role = json_string_value(json_object_get(message, "role"));
		es_text_of(json_object_get(message, "content"), &all);
		j->gen.prompt_tokens += TEMPLATE_TOKENS;
		if (role && !strcmp(role, "user")) {
			question->len = 0;
			es_buf_add(question, "", 0);
			es_text_of(json_object_get(message, "content"), question);
		}
	}
	j->gen.prompt_tokens += es_words(all.p);
	es_buf_free(&all);
	return 0;
}

static const char *tool_name(const json_t *tool)
{
	return json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
}

/* Decide whether to call a tool: the named one, any if one is required, and with "auto" one whose
 * name the user says. Return: -1 after an answer of 400. */
static int choose_tool(struct job *j, const json_t *body, const char *question)
{
	const json_t *tools = json_object_get(body, "tools");
	const json_t *choice = json_object_get(body, "tool_choice");
	const char *word = json_is_string(choice) ? json_string_value(choice) : "auto";
	const char *named = tool_name(choice);

	if (!json_array_size(tools) || !strcmp(word, "none"))
		return 0;
	if (es_fault_on(ES_FAULT_TOOLS_400)) {
		es_fail(j->req, 400, "BadRequestError", "tools",
				"This model does not support tools.");
		return -1;
	}
	if (!named && !strcmp(word, "auto") && !es_config.auto_tools) {
		es_fail(j->req, 400, "BadRequestError", "tool_choice",
				"\"auto\" tool choice requires --enable-auto-tool-choice and "
				"--tool-call-parser to be set");
		return -1;
	}
	for (size_t i = 0; !j->tool && i < json_array_size(tools); i++) {
		const char *name = tool_name(json_array_get(tools, i));

		if (name &&
				(named ? !strcmp(name, named)
				       : !strcmp(word, "required") || strstr(question, name)))
			j->tool = name;
	}
	if (named && !j->tool) {
		es_fail(j->req, 400, "BadRequestError", "tool_choice",
				"The tool is not among tools.");
		return -1;
	}
	return 0;
}

static void reply_chat(struct job *j)
{
	json_t *message = json_pack("{s:s, s:s?, s:s?, s:s?, s:[]}", "role", "assistant", "content",
			j->out_text.p, "reasoning_content", j->out_thoughts.p, "reasoning",
			j->out_thoughts.p, "tool_calls");
	json_t *choice;

	if (!strcmp(j->reason, "tool_calls"))
		json_array_append_new(json_object_get(message, "tool_calls"),
				json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", j->id, "type",
						"function", "function", "name", j->tool,
						"arguments", "{}"));
	choice = json_pack("{s:i, s:o, s:n, s:s}", "index", 0, "message", message, "logprobs",
			"finish_reason", j->reason);
	es_reply_json(j->req, 200,
			json_pack("{s:s, s:s, s:I, s:s, s:[o], s:o}", "id", j->id, "object",
					"chat.completion", "created", j->created, "model", j->model,
					"choices", choice, "usage", usage(&j->gen)));
}

static void chat(struct job *j, const json_t *body, const char *question)
{
	const json_t *thinking = json_object_get(
			json_object_get(body, "chat_template_kwargs"), "enable_thinking");

	if (choose_tool(j, body, question) < 0)
		return;
	j->gen.max_tokens = output_room(j, body);
	if (j->gen.max_tokens < 0)
		return;
	if (!j->tool)
		make_text(j, question);
	if (es_config.reasoning && !json_is_false(thinking))
		j->thoughts = strdup("The user wants an answer. I am a stand-in, so I say that.");
	generate(j);
	if (j->req->broken)
		return;
	if (j->stream)
		stream_end(j, &j->gen);
	else
		reply_chat(j);
}

void es_on_chat(struct es_req *req)
{
	struct es_buf question = { 0 };
	json_t *body = es_body(req);
	struct job j;

	if (!body)
		return;
	es_buf_add(&question, "", 0);
	if (!job_init(&j, req, body, true) && !read_messages(&j, body, &question))
		chat(&j, body, question.p);
	job_done(&j);
	es_buf_free(&question);
	json_decref(body);
}

/* A prompt is a text or a list of token numbers. */
static void read_prompt(struct job *j, const json_t *prompt, struct es_buf *question)
{
	es_buf_add(question, "", 0);
	if (json_is_string(prompt))
		es_text_of(prompt, question);
	j->gen.prompt_tokens = json_is_array(prompt) ? (int)json_array_size(prompt)
						     : es_words(question->p);
}

/* Complete one prompt. Return: its choice; NULL if it was streamed, refused or the client went. */
static json_t *complete(struct job *j, const json_t *body, const json_t *prompt)
{
	struct es_buf question = { 0 };
	json_t *choice = NULL;

	j->gen = (struct es_gen){ .client = j->req->fd };
	j->reason = NULL;
	read_prompt(j, prompt, &question);
	j->gen.max_tokens = output_room(j, body);
	if (j->gen.max_tokens > 0) {
		make_text(j, question.p);
		generate(j);
		if (j->reason && !j->stream)
			choice = json_pack("{s:i, s:s, s:n, s:s}", "index", j->index, "text",
					j->out_text.p, "logprobs", "finish_reason", j->reason);
		free(j->text);
		j->text = NULL;
		es_buf_free(&j->out_text);
	}
	es_buf_free(&question);
	return choice;
}

static void complete_all(struct job *j, const json_t *body)
{
	const json_t *prompt = json_object_get(body, "prompt"), *first = json_array_get(prompt, 0);
	bool several = json_is_array(prompt) && !json_is_integer(first);
	size_t n = several ? json_array_size(prompt) : 1;
	struct es_gen total = { 0 };
	json_t *choices = json_array(), *choice;

	for (size_t i = 0; i < n; i++) {
		j->index = (int)i;
		choice = complete(j, body, several ? json_array_get(prompt, i) : prompt);
		if (!j->reason) { /* answered with an error, or nobody is there to answer */
			json_decref(choices);
			return;
		}
		if (choice)
			json_array_append_new(choices, choice);
		total.prompt_tokens += j->gen.prompt_tokens;
		total.generated += j->gen.generated;
	}
	if (j->stream)
		stream_end(j, &total);
	else
		es_reply_json(j->req, 200,
				json_pack("{s:s, s:s, s:I, s:s, s:O, s:o}", "id", j->id, "object",
						"text_completion", "created", j->created, "model",
						j->model, "choices", choices, "usage",
						usage(&total)));
	json_decref(choices);
}

void es_on_completions(struct es_req *req)
{
	json_t *body = es_body(req), *prompt = json_object_get(body, "prompt");
	struct job j;

	if (!body)
		return;
	if (job_init(&j, req, body, false) < 0)
		;
	else if ((!json_is_string(prompt) && !json_array_size(prompt)) ||
			(json_array_size(prompt) > PROMPTS_MAX &&
					!json_is_integer(json_array_get(prompt, 0))))
		es_fail(req, 400, "BadRequestError", "prompt",
				"prompt must be a text or 1 to %d of them", PROMPTS_MAX);
	else
		complete_all(&j, body);
	job_done(&j);
	json_decref(body);
}
