/* json_write.c - JSON as text. jansson writes all else, but floats with 17 digits: 0.8 would read
 * 0.80000000000000004. */
#include <string.h>

#include "sb_render.h"
#include "sb_yaml.h"

#define INDENT         2
#define TEXT_MAX_BYTES ((size_t)256 << 20)

static int line(struct sb_strbuf *out, unsigned depth)
{
	return sb_strbuf_addf(out, "\n%*s", (int)depth * INDENT, "");
}

static int put_scalar(struct sb_strbuf *out, const json_t *json)
{
	SB_CLEANUP(sb_freep) char *text = NULL;

	if (json_is_real(json))
		return sb_yaml_render_float(json_real_value(json), out);
	text = json_dumps(json, JSON_ENCODE_ANY);
	return text ? sb_strbuf_adds(out, text) : -1;
}

static int put_key(struct sb_strbuf *out, const char *key)
{
	json_t *text = json_string(key);
	int rc = text ? put_scalar(out, text) : -1;

	json_decref(text);
	return rc < 0 ? rc : sb_strbuf_adds(out, ": ");
}

/* Depth is that of our own documents. */
static int put(struct sb_strbuf *out, const json_t *json, unsigned depth)
{
	bool object = json_is_object(json);
	size_t n = object ? json_object_size(json) : json_array_size(json), i = 0;
	void *iter = object ? json_object_iter((json_t *)json) : NULL;
	int rc;

	if (!object && !json_is_array(json))
		return put_scalar(out, json);
	rc = sb_strbuf_addc(out, object ? '{' : '[');
	for (; rc >= 0 && i < n; i++) {
		rc = i ? sb_strbuf_addc(out, ',') : 0;
		if (rc >= 0)
			rc = line(out, depth + 1);
		if (rc >= 0 && object)
			rc = put_key(out, json_object_iter_key(iter));
		if (rc >= 0)
			rc = put(out,
					object ? json_object_iter_value(iter)
					       : json_array_get(json, i),
					depth + 1);
		if (object)
			iter = json_object_iter_next((json_t *)json, iter);
	}
	if (rc >= 0 && n)
		rc = line(out, depth);
	return rc < 0 ? rc : sb_strbuf_addc(out, object ? '}' : ']');
}

int sb_render_json(FILE *out, const json_t *json, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = { .max = TEXT_MAX_BYTES };

	if (!json || put(&text, json, 0) < 0)
		return sb_err_nomem(err);
	if (fprintf(out, "%s\n", sb_strbuf_str(&text)) < 0 || fflush(out) == EOF)
		return sb_err_set(err, SB_E_INTERNAL, "cannot write the JSON document");
	return 0;
}
