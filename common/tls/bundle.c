/* bundle.c - several PEM texts in one, each named, for the way from the operator to a node. */
#include <stdio.h>
#include <string.h>

#include "sb_strbuf.h"

#include "internal.h"

#define PART_PREFIX "# sparkbus "
#define BUNDLE_MAX  ((size_t)4 << 20) /* bytes: two lists at their cap and room to spare */
#define BEGIN       "-----BEGIN "
#define END         "-----END "

static const struct {
	const char *name;
	size_t at; /* of the char * in struct sb_tls_bundle */
} parts[] = {
	{ "node-certificate", offsetof(struct sb_tls_bundle, node_cert) },
	{ "operator-ca", offsetof(struct sb_tls_bundle, operator_ca) },
	{ "node-ca", offsetof(struct sb_tls_bundle, node_ca) },
	{ "operator-crl", offsetof(struct sb_tls_bundle, operator_crl) },
	{ "node-crl", offsetof(struct sb_tls_bundle, node_crl) },
};

static char **part_of(struct sb_tls_bundle *bundle, size_t i)
{
	return (char **)((char *)bundle + parts[i].at);
}

void sb_tls_bundle_done(struct sb_tls_bundle *bundle)
{
	for (size_t i = 0; i < sb_countof(parts); i++) {
		free(*part_of(bundle, i));
		*part_of(bundle, i) = NULL;
	}
}

int sb_tls_bundle_write(const struct sb_tls_bundle *bundle, char **ret_text, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = { .max = BUNDLE_MAX };
	struct sb_tls_bundle view = *bundle;

	for (size_t i = 0; i < sb_countof(parts); i++) {
		const char *pem = *part_of(&view, i);

		if (sb_empty(pem))
			return sb_err_set(err, SB_E_INVALID, "bundle: no %s", parts[i].name);
		sb_strbuf_addf(&text, PART_PREFIX "%s\n%s", parts[i].name, pem);
		if (pem[strlen(pem) - 1] != '\n')
			sb_strbuf_addc(&text, '\n');
	}
	if (text.failed == -SB_E_RANGE)
		return sb_err_set(err, SB_E_RANGE, "bundle: more than %zu bytes", BUNDLE_MAX);
	if (text.failed)
		return sb_err_nomem(err);
	*ret_text = sb_strbuf_steal(&text);
	return 0;
}

/* Where a line that begins with @prefix begins, at or after @text. */
static const char *find_line(const char *text, const char *prefix)
{
	for (const char *at = strstr(text, prefix); at; at = strstr(at + 1, prefix))
		if (at == text || at[-1] == '\n')
			return at;
	return NULL;
}

/* Whether the lines at @begin and @end carry the same label to the last dash. */
static bool labels_match(const char *begin, const char *end)
{
	const char *one = begin + strlen(BEGIN), *two = end + strlen(END);
	size_t len = strcspn(one, "\r\n");

	return strcspn(two, "\r\n") == len && strncmp(one, two, len) == 0;
}

int sb_tls_pem_next(const char **cursor, char **ret_block, struct sb_err *err)
{
	const char *begin = find_line(*cursor, BEGIN);
	const char *end = begin ? find_line(begin, END) : NULL;
	char *block = NULL;

	if (begin && (!end || !labels_match(begin, end)))
		return sb_err_set(err, SB_E_INVALID, "PEM block without its end");
	if (begin) {
		end += strcspn(end, "\r\n");
		if (asprintf(&block, "%.*s\n", (int)(end - begin), begin) < 0)
			return sb_err_nomem(err);
		*cursor = end;
	}
	*ret_block = block;
	return 0;
}

/* The part that the line at @line announces; sb_countof(parts) for one of a later version. */
static size_t find_part(const char *line)
{
	const char *name = line + strlen(PART_PREFIX);
	size_t len = strcspn(name, " \t\r\n");
	size_t i;

	for (i = 0; i < sb_countof(parts); i++)
		if (strlen(parts[i].name) == len && strncmp(parts[i].name, name, len) == 0)
			break;
	return i;
}

static int read_part(const char *line, struct sb_tls_bundle *bundle, struct sb_err *err)
{
	const char *next = find_line(line + 1, PART_PREFIX);
	SB_CLEANUP(sb_freep)
	char *body = next ? strndup(line, (size_t)(next - line)) : strdup(line);
	size_t i = find_part(line);
	const char *cursor = body;
	int rc;

	if (!body)
		return sb_err_nomem(err);
	if (i == sb_countof(parts))
		return 0;
	if (*part_of(bundle, i))
		return sb_err_set(err, SB_E_INVALID, "bundle: two times %s", parts[i].name);
	rc = sb_tls_pem_next(&cursor, part_of(bundle, i), err);
	return rc < 0 ? sb_err_wrap(err, rc, "bundle: %s", parts[i].name) : 0;
}

int sb_tls_bundle_read(const char *text, struct sb_tls_bundle *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_tls_bundle_done) struct sb_tls_bundle bundle = { 0 };

	if (strnlen(text, BUNDLE_MAX + 1) > BUNDLE_MAX)
		return sb_err_set(err, SB_E_RANGE, "bundle: more than %zu bytes", BUNDLE_MAX);
	for (const char *at = find_line(text, PART_PREFIX); at;
			at = find_line(at + 1, PART_PREFIX)) {
		int rc = read_part(at, &bundle, err);

		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < sb_countof(parts); i++)
		if (!*part_of(&bundle, i))
			return sb_err_set(err, SB_E_INVALID, "bundle: no %s", parts[i].name);
	*ret = bundle;
	bundle = (struct sb_tls_bundle){ 0 };
	return 0;
}
