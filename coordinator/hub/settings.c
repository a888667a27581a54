/* settings.c - which hub, whose token, which folder: the words of the hub's own tools. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "internal.h"
#include "sb_fs.h"

#define TOKEN_MAX 512u

typedef const char *(*getenv_fn_t)(const char *name);

static bool is_true(const char *text)
{
	static const char *const words[] = { "1", "on", "yes", "true" };

	for (size_t i = 0; text && i < sb_countof(words); i++)
		if (!strcasecmp(words[i], text))
			return true;
	return false;
}

static const char *first_of(getenv_fn_t getenv_fn, const char *const *names)
{
	for (; *names; names++)
		if (!sb_empty(getenv_fn(*names)))
			return getenv_fn(*names);
	return NULL;
}

/* "<value of the first variable that is set><below>"; *@ret stays NULL when none is. */
static int place(getenv_fn_t getenv_fn, const char *const (*places)[2], char **ret,
		struct sb_err *err)
{
	const char *home = getenv_fn("HOME");

	for (; (*places)[0]; places++) {
		const char *value = getenv_fn((*places)[0]);
		bool tilde = value && !strncmp(value, "~/", 2) && !sb_empty(home);

		if (sb_empty(value))
			continue;
		if (asprintf(ret, "%s%s%s", tilde ? home : "", tilde ? value + 1 : value,
				    (*places)[1]) < 0) {
			*ret = NULL;
			return sb_err_nomem(err);
		}
		return 0;
	}
	return 0;
}

static int read_endpoint(getenv_fn_t getenv_fn, struct sb_hub_remote *r, struct sb_err *err)
{
	const char *given = getenv_fn("HF_ENDPOINT");
	size_t len;

	r->endpoint = strdup(sb_empty(given) ? SB_HUB_ENDPOINT : given);
	if (!r->endpoint)
		return sb_err_nomem(err);
	len = strlen(r->endpoint);
	while (len && r->endpoint[len - 1] == '/')
		r->endpoint[--len] = '\0';
	return 0;
}

/* What goes into a header: no blanks, no line ends. The text itself is never told. */
static int check_token(const char *token, const char *from, struct sb_err *err)
{
	size_t len = strlen(token);

	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] > '~')
			len = 0;
	if (len && len <= TOKEN_MAX)
		return 0;
	sb_err_set(err, SB_E_INVALID, "what %s holds cannot be a token of the hub", from);
	return sb_err_hint(
			err, -SB_E_INVALID, "a token is one word, hf_...; hf auth login writes it");
}

static int read_token_file(getenv_fn_t getenv_fn, struct sb_hub_remote *r, struct sb_err *err)
{
	static const char *const places[][2] = { { "HF_TOKEN_PATH", "" }, { "HF_HOME", "/token" },
		{ "XDG_CACHE_HOME", "/huggingface/token" }, { "HOME", "/.cache/huggingface/token" },
		{ NULL } };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = NULL;
	const char *token;
	int rc = place(getenv_fn, places, &path, err);

	/* No file is the usual case, and one that cannot be read is as good as none. */
	if (rc < 0 || !path || sb_fs_read(path, TOKEN_MAX + 16, &text, NULL) < 0)
		return rc;
	token = sb_strbuf_str(&text);
	token += strspn(token, " \t\r\n");
	if (!*token)
		return 0;
	r->token = strndup(token, strcspn(token, " \t\r\n"));
	explicit_bzero(text.data, text.len);
	return r->token ? check_token(r->token, path, err) : sb_err_nomem(err);
}

static int read_token(getenv_fn_t getenv_fn, struct sb_hub_remote *r, struct sb_err *err)
{
	static const char *const names[] = { "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", NULL };
	const char *given = first_of(getenv_fn, names);

	if (!given && is_true(getenv_fn("HF_HUB_DISABLE_IMPLICIT_TOKEN")))
		return 0;
	if (!given)
		return read_token_file(getenv_fn, r, err);
	r->token = strdup(given);
	return r->token ? check_token(r->token, "HF_TOKEN", err) : sb_err_nomem(err);
}

int sb_hub_remote_read(getenv_fn_t getenv_fn, struct sb_hub_remote *ret, struct sb_err *err)
{
	static const char *const stores[][2] = { { "XDG_CACHE_HOME", "/sparkbus/hub" },
		{ "HOME", "/.cache/sparkbus/hub" }, { NULL } };
	static const char *const ca_names[] = { "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
		"SSL_CERT_FILE", NULL };
	struct sb_hub_remote r = { .deadline_ms = SB_HUB_DEADLINE_MS };
	const char *ca = first_of(getenv_fn, ca_names);
	int rc = read_endpoint(getenv_fn, &r, err);

	if (!rc)
		rc = read_token(getenv_fn, &r, err);
	if (!rc)
		rc = place(getenv_fn, stores, &r.store, err);
	if (!rc && ca) {
		r.ca_file = strdup(ca);
		rc = r.ca_file ? 0 : sb_err_nomem(err);
	}
	r.offline = is_true(getenv_fn("HF_HUB_OFFLINE")) ||
			is_true(getenv_fn("TRANSFORMERS_OFFLINE"));
	if (rc < 0)
		sb_hub_remote_done(&r);
	else
		*ret = r;
	return rc;
}

void sb_hub_remote_done(struct sb_hub_remote *remote)
{
	if (remote->token)
		explicit_bzero(remote->token, strlen(remote->token));
	free(remote->token);
	free(remote->endpoint);
	free(remote->store);
	free(remote->ca_file);
	*remote = (struct sb_hub_remote){ 0 };
}
