/* remote.c - a model's small files from the hub: its word on the repository first (commit, names,
 * sizes), then what that names of the few files that tell a model's shape. */
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_fs.h"

/* How long a branch's commit counts as known, and how long a failure is not tried again: a hub
 * that is away must not cost every command its deadline. */
#define FRESH_MS   (10u * 60 * 1000)
#define FAILED_MS  (60u * 1000)
#define HEADER_TRY ((size_t)256 << 10)

struct fetch {
	const struct sb_hub_remote *remote;
	const char *model, *revision;
	char *folder; /* of the store; NULL = nothing is kept */
	struct hub_http *http;
	json_t *info;
	char commit[SB_HUB_COMMIT_MAX];
	void (*warn)(void *ctx, const char *text);
	void *ctx;
};

static void fetch_done(struct fetch *f)
{
	free(f->folder);
	hub_http_free(f->http);
	json_decref(f->info);
}

static int open_http(struct fetch *f, struct sb_err *err)
{
	if (f->remote->offline)
		return sb_err_set(err, SB_E_UNAVAILABLE, "%s: not fetched before, and offline",
				f->model);
	return f->http ? 0 : hub_http_new(f->remote, &f->http, err);
}

static int store_folder(struct fetch *f, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *name = hub_folder_name(f->model), *host = NULL;
	const char *from = strstr(f->remote->endpoint, "://");

	if (!f->remote->store)
		return 0;
	host = strdup(from ? from + 3 : f->remote->endpoint);
	if (!host || !name)
		return sb_err_nomem(err);
	for (char *p = host; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-",
				    *p) &&
				(*p != '.' || p[1] == '.' || p == host))
			*p = '_';
	if (asprintf(&f->folder, "%s/%s/%s", f->remote->store, host, name) < 0) {
		f->folder = NULL;
		return sb_err_nomem(err);
	}
	return 0;
}

/* --- the repository --- */

static int take_info(struct fetch *f, json_t *info, struct sb_err *err)
{
	const char *commit = json_string_value(json_object_get(info, "sha"));

	if (!commit || strlen(commit) >= sizeof(f->commit) || !hub_is_name(commit, false) ||
			!json_is_array(json_object_get(info, "siblings"))) {
		json_decref(info);
		return sb_err_set(err, SB_E_PROTOCOL,
				"%s: what the hub says of it has no commit or no files", f->model);
	}
	strcpy(f->commit, commit);
	f->info = info;
	return 0;
}

static int parse(const char *what, const struct sb_strbuf *text, json_t **ret, struct sb_err *err)
{
	json_error_t error;

	*ret = json_loadb(sb_strbuf_str(text), text->len, 0, &error);
	if (*ret)
		return 0;
	return sb_err_set(err, SB_E_PROTOCOL, "%s: line %d, column %d: %s", what, error.line,
			error.column, error.text);
}

static int ask_info(struct fetch *f, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf path = SB_STRBUF_INIT;
	json_t *info = NULL;
	int rc = open_http(f, err);

	sb_strbuf_addf(&path, "/api/models/%s/revision/", f->model);
	for (const char *p = f->revision; *p; p++)
		sb_strbuf_adds(&path, *p == '/' ? "%2F" : (char[]){ *p, '\0' });
	sb_strbuf_adds(&path, "?blobs=true");
	if (!rc)
		rc = hub_http_get(f->http, f->model, sb_strbuf_str(&path), false, SB_HUB_INFO_MAX,
				&text, err);
	if (!rc)
		rc = parse(f->model, &text, &info, err);
	if (!rc)
		rc = take_info(f, info, err);
	if (!rc && f->folder) {
		hub_doc_write(f->folder, f->commit, "info.json", text.data, text.len);
		hub_ref_write(f->folder, f->revision, f->commit, NULL);
	}
	return rc;
}

static bool read_info(struct fetch *f, const struct hub_ref *ref)
{
	json_t *info = *ref->commit
			? hub_doc_read(f->folder, ref->commit, "info.json", SB_HUB_INFO_MAX)
			: NULL;

	return info && take_info(f, info, NULL) == 0;
}

/* What a person can mend at once (a token, a licence) is asked again, and so is what they broke. */
static bool keeps(enum sb_code code)
{
	return code == SB_E_NOT_FOUND || code == SB_E_TIMEOUT || code == SB_E_UNAVAILABLE ||
			code == SB_E_PROTOCOL;
}

static int get_info(struct fetch *f, struct sb_err *err)
{
	struct hub_ref ref = { 0 };
	struct sb_err why = SB_ERR_INIT;
	bool known = f->folder && hub_ref_read(f->folder, f->revision, &ref);
	int rc;

	if (known && (f->remote->offline || ref.age_ms < FRESH_MS) && read_info(f, &ref))
		return 0;
	if (known && !*ref.commit && ref.age_ms < FAILED_MS && !f->remote->offline) {
		*err = ref.err;
		return -(int)ref.err.code;
	}
	rc = ask_info(f, &why);
	if (rc == 0)
		return 0;
	if (known && rc != -SB_E_CANCELLED && read_info(f, &ref)) {
		f->warn(f->ctx, why.text);
		return 0;
	}
	if (f->folder && !f->remote->offline && keeps(why.code))
		hub_ref_write(f->folder, f->revision, NULL, &why);
	*err = why;
	return rc;
}

/* --- its files --- */

static bool ends(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && !strcmp(text + len - n, end);
}

static int take_files(const json_t *siblings, struct sb_hub_model *m, struct sb_err *err)
{
	json_t *file;
	size_t i;
	int rc = 0;

	json_array_foreach (siblings, i, file) {
		const char *name = json_string_value(json_object_get(file, "rfilename"));
		json_t *size = json_object_get(file, "size");

		if (!name || !json_is_integer(size) || json_integer_value(size) <= 0 ||
				!(ends(name, ".safetensors") || ends(name, ".gguf")))
			continue;
		if (m->n_files == SB_HUB_FILES_MAX) {
			hub_drop_files(m); /* some of them would make a smaller model */
			return sb_err_set(err, SB_E_RANGE, "more than %u files", SB_HUB_FILES_MAX);
		}
		rc = hub_add_file(name, (uint64_t)json_integer_value(size), m, err);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static bool has(const struct fetch *f, const char *name)
{
	json_t *file;
	size_t i;

	json_array_foreach (json_object_get(f->info, "siblings"), i, file) {
		const char *text = json_string_value(json_object_get(file, "rfilename"));

		if (text && !strcmp(text, name))
			return true;
	}
	return false;
}

static int get_bytes(struct fetch *f, const char *name, bool head, size_t max,
		struct sb_strbuf *text, struct sb_err *err)
{
	char what[320], path[640];
	int rc = open_http(f, err);

	snprintf(what, sizeof(what), "%s of %s", name, f->model);
	snprintf(path, sizeof(path), "/%s/resolve/%s/%s", f->model, f->commit, name);
	return rc < 0 ? rc : hub_http_get(f->http, what, path, head, max, text, err);
}

static int get_doc(struct fetch *f, const char *name, size_t max, json_t **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc;

	*ret = f->folder ? hub_doc_read(f->folder, f->commit, name, max) : NULL;
	if (*ret)
		return 0;
	rc = get_bytes(f, name, false, max, &text, err);
	if (!rc)
		rc = parse(name, &text, ret, err);
	if (!rc && f->folder)
		hub_doc_write(f->folder, f->commit, name, text.data, text.len);
	return rc;
}

static uint64_t header_len(const struct sb_strbuf *text)
{
	uint64_t len = 0;

	for (size_t i = 0; i < 8 && i < text->len; i++)
		len |= (uint64_t)(unsigned char)text->data[i] << (8 * i);
	return text->len < 8 ? 0 : len;
}

/* A safetensors file: 8 bytes of length, least first, then so many bytes of JSON. */
static int get_header(struct fetch *f, json_t **ret, struct sb_err *err)
{
	static const char name[] = "model.safetensors";
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	uint64_t len;
	int rc;

	*ret = f->folder ? hub_doc_read(f->folder, f->commit, "header.json", SB_HUB_HEADER_MAX)
			 : NULL;
	if (*ret)
		return 0;
	rc = get_bytes(f, name, true, HEADER_TRY, &text, err);
	if (rc < 0)
		return rc;
	len = header_len(&text);
	if (len < 2 || len > SB_HUB_HEADER_MAX)
		return sb_err_set(err, SB_E_PROTOCOL, "%s of %s: a header of %llu bytes", name,
				f->model, (unsigned long long)len);
	if (len + 8 > text.len)
		rc = get_bytes(f, name, true, (size_t)len + 8, &text, err);
	if (!rc && len + 8 > text.len)
		return sb_err_set(err, SB_E_PROTOCOL, "%s of %s: shorter than its header", name,
				f->model);
	if (rc < 0)
		return rc;
	sb_strbuf_consume(&text, 8);
	text.len = (size_t)len;
	rc = parse(name, &text, ret, err);
	if (!rc && f->folder)
		hub_doc_write(f->folder, f->commit, "header.json", text.data, text.len);
	return rc;
}

/* The first file that has a head: all of a repository are of one model. */
static int get_gguf(struct fetch *f, struct sb_hub_model *m, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *kept = NULL;
	size_t i = 0;
	int rc;

	m->gguf = f->folder ? hub_doc_read(f->folder, f->commit, "gguf.json", SB_HUB_CONFIG_MAX)
			    : NULL;
	while (i < m->n_files && !hub_is_gguf(m->files[i].name))
		i++;
	if (m->gguf || i == m->n_files)
		return 0;
	if (!hub_is_name(m->files[i].name, true))
		return sb_err_set(err, SB_E_PROTOCOL, "%s: a file with an odd name", f->model);
	rc = get_bytes(f, m->files[i].name, true, SB_HUB_GGUF_MAX, &text, err);
	if (rc < 0)
		return rc;
	m->gguf = sb_hub_gguf(sb_strbuf_str(&text), text.len);
	if (!m->gguf)
		return sb_err_set(err, SB_E_PROTOCOL, "%s of %s is no GGUF that says what it is",
				m->files[i].name, f->model);
	kept = json_dumps(m->gguf, JSON_COMPACT);
	if (f->folder && kept)
		hub_doc_write(f->folder, f->commit, "gguf.json", kept, strlen(kept));
	return 0;
}

/* What cannot be had leaves the estimate with less to go by; only Ctrl-C ends it. */
static int part(struct fetch *f, int rc, const struct sb_err *why, struct sb_err *err)
{
	if (rc == -SB_E_CANCELLED || rc == -SB_E_NOMEM) {
		*err = *why;
		return rc;
	}
	if (rc < 0)
		f->warn(f->ctx, why->text);
	return 0;
}

static int take_docs(struct fetch *f, struct sb_hub_model *m, struct sb_err *err)
{
	const struct {
		const char *name;
		size_t max;
		json_t **ret;
	} docs[] = { { "config.json", SB_HUB_CONFIG_MAX, &m->config },
		{ "hf_quant_config.json", SB_HUB_CONFIG_MAX, &m->hf_quant },
		{ "model.safetensors.index.json", SB_HUB_INDEX_MAX, &m->index } };
	struct sb_err why = SB_ERR_INIT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sb_countof(docs); i++)
		if (has(f, docs[i].name))
			rc = part(f, get_doc(f, docs[i].name, docs[i].max, docs[i].ret, &why), &why,
					err);
	if (rc == 0 && !m->index && has(f, "model.safetensors"))
		rc = part(f, get_header(f, &m->header, &why), &why, err);
	if (rc == 0 && !m->config)
		rc = part(f, get_gguf(f, m, &why), &why, err);
	return rc;
}

int sb_hub_fetch(const struct sb_hub_remote *remote, const char *model, const char *revision,
		void (*warn)(void *ctx, const char *text), void *ctx, struct sb_hub_model *ret,
		struct sb_err *err)
{
	SB_CLEANUP(fetch_done)
	struct fetch f = { .remote = remote,
		.model = model,
		.revision = sb_empty(revision) ? "main" : revision,
		.warn = warn,
		.ctx = ctx };
	struct sb_hub_model m = { 0 };
	struct sb_err why = SB_ERR_INIT;
	int rc;

	if (!hub_is_model(model))
		return sb_err_set(err, SB_E_INVALID, "'%s' is not org/name", model);
	if (!hub_is_name(f.revision, true))
		return sb_err_set(err, SB_E_INVALID, "'%s' cannot be a revision", f.revision);
	rc = store_folder(&f, &why);
	if (!rc)
		rc = get_info(&f, &why);
	if (!rc)
		rc = part(&f, take_files(json_object_get(f.info, "siblings"), &m, &why), &why,
				&why);
	if (!rc)
		rc = take_docs(&f, &m, &why);
	if (rc < 0) {
		sb_hub_model_done(&m);
		if (err)
			*err = why;
		return rc;
	}
	m.counts = json_incref(json_object_get(f.info, "safetensors"));
	*ret = m;
	return 0;
}
