/* field.c - flat YAML files by table: one row is a key, its kind and where it lies in a struct. */
#include <string.h>

#include "internal.h"

int inv_load(const struct sb_inventory *inv, const char *folder, const char *name,
		struct sb_yaml_doc **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = inv_path(inv, folder, name, ".yaml");
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	int rc;

	if (!path)
		return sb_err_nomem(err);
	rc = sb_yaml_load(path, NULL, NULL, &doc, err);
	if (rc == 0)
		rc = sb_yaml_expect(doc, sb_yaml_root(doc), SB_YAML_MAP, "the file", err);
	if (rc == 0)
		*ret = sb_steal(doc);
	return rc;
}

int inv_take_text(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node, const char *what,
		char **ret, struct sb_err *err)
{
	enum sb_yaml_type type = sb_yaml_type(node);
	char *text;

	if (type == SB_YAML_NULL)
		return 0;
	/* A number or a "yes" where text is wanted is the text that was written. */
	if (type == SB_YAML_LIST || type == SB_YAML_MAP)
		return sb_yaml_expect(doc, node, SB_YAML_STR, what, err);
	if (strlen(sb_yaml_str(node)) > INV_TEXT_MAX)
		return sb_yaml_err(doc, node, err, "%s: longer than %u bytes", what, INV_TEXT_MAX);
	text = strdup(sb_yaml_str(node));
	if (!text)
		return sb_err_nomem(err);
	free(*ret);
	*ret = text;
	return 0;
}

static int read_text(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		const struct inv_field *field, void *at, struct sb_err *err)
{
	char **into = at;
	int rc = inv_take_text(doc, node, field->key, into, err);

	if (rc < 0 || !field->words || sb_empty(*into))
		return rc;
	for (const char *const *word = field->words; *word; word++)
		if (strcmp(*word, *into) == 0)
			return 0;
	return sb_yaml_err(doc, node, err, "%s: \"%s\" is not known here", field->key, *into);
}

static int read_port(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		const struct inv_field *field, void *at, struct sb_err *err)
{
	int rc = sb_yaml_expect(doc, node, SB_YAML_INT, field->key, err);

	if (rc < 0)
		return rc;
	if (sb_yaml_int(node) < 1 || sb_yaml_int(node) > UINT16_MAX)
		return sb_yaml_err(
				doc, node, err, "%s: expected a port from 1 to 65535", field->key);
	*(uint16_t *)at = (uint16_t)sb_yaml_int(node);
	return 0;
}

static int read_time(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		const struct inv_field *field, void *at, struct sb_err *err)
{
	int rc = sb_yaml_expect(doc, node, SB_YAML_INT, field->key, err);

	if (rc == 0)
		*(int64_t *)at = sb_yaml_int(node);
	return rc;
}

static int read_flag(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		const struct inv_field *field, void *at, struct sb_err *err)
{
	int rc = sb_yaml_expect(doc, node, SB_YAML_BOOL, field->key, err);

	if (rc == 0)
		*(bool *)at = sb_yaml_bool(node);
	return rc;
}

static void write_text(struct sb_strbuf *out, const char *key, const void *at)
{
	const char *text = *(char *const *)at;

	if (sb_empty(text))
		return;
	sb_strbuf_addf(out, "%s: ", key);
	sb_yaml_write_scalar(out, text);
	sb_strbuf_addc(out, '\n');
}

static void write_port(struct sb_strbuf *out, const char *key, const void *at)
{
	if (*(const uint16_t *)at)
		sb_strbuf_addf(out, "%s: %u\n", key, *(const uint16_t *)at);
}

static void write_time(struct sb_strbuf *out, const char *key, const void *at)
{
	if (*(const int64_t *)at)
		sb_strbuf_addf(out, "%s: %lld\n", key, (long long)*(const int64_t *)at);
}

static void write_flag(struct sb_strbuf *out, const char *key, const void *at)
{
	sb_strbuf_addf(out, "%s: %s\n", key, *(const bool *)at ? "true" : "false");
}

static const struct {
	int (*read)(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
			const struct inv_field *field, void *at, struct sb_err *err);
	void (*write)(struct sb_strbuf *out, const char *key, const void *at);
} kinds[] = {
	[INV_TEXT] = { read_text, write_text },
	[INV_PORT] = { read_port, write_port },
	[INV_TIME] = { read_time, write_time },
	[INV_FLAG] = { read_flag, write_flag },
};

int inv_read_fields(const struct sb_yaml_doc *doc, const struct inv_field *fields, size_t n,
		void *into, struct sb_err *err)
{
	const struct sb_yaml_node *root = sb_yaml_root(doc);

	for (size_t i = 0; i < n; i++) {
		const struct sb_yaml_node *node = sb_yaml_get(root, fields[i].key);
		int rc = 0;

		if (sb_yaml_type(node) != SB_YAML_NULL)
			rc = kinds[fields[i].kind].read(
					doc, node, &fields[i], (char *)into + fields[i].at, err);
		else if (fields[i].required)
			rc = sb_yaml_err(doc, root, err, "no %s", fields[i].key);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int inv_write_fields(struct sb_strbuf *out, const struct inv_field *fields, size_t n,
		const void *from, struct sb_err *err)
{
	for (size_t i = 0; i < n; i++) {
		const void *at = (const char *)from + fields[i].at;
		const char *text = fields[i].kind == INV_TEXT ? *(char *const *)at : NULL;
		const char *const *word = text && *text ? fields[i].words : NULL;

		if (fields[i].required && sb_empty(text))
			return sb_err_set(err, SB_E_INVALID, "no %s", fields[i].key);
		if (text && strlen(text) > INV_TEXT_MAX)
			return sb_err_set(err, SB_E_RANGE, "%s: longer than %u bytes",
					fields[i].key, INV_TEXT_MAX);
		while (word && *word && strcmp(*word, text))
			word++;
		if (word && !*word)
			return sb_err_set(err, SB_E_INVALID, "%s: \"%s\" is not known here",
					fields[i].key, text);
		kinds[fields[i].kind].write(out, fields[i].key, at);
	}
	return 0;
}

int inv_built(const struct sb_strbuf *text, struct sb_err *err)
{
	if (text->failed == -SB_E_RANGE)
		return sb_err_set(
				err, SB_E_RANGE, "file would have more than %zu bytes", text->max);
	return text->failed ? sb_err_nomem(err) : 0;
}
