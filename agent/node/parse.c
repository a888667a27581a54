#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node_parse.h"

static bool parse_u64(const char *text, int base, uint64_t *ret, const char **ret_end)
{
	char *end;

	if (!isxdigit((unsigned char)*text)) /* strtoull would take blanks and a sign */
		return false;
	errno = 0;
	*ret = strtoull(text, &end, base);
	*ret_end = end;
	return end != text && errno == 0;
}

/* The text after "<key>:" at the start of a line. */
static const char *find_key(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text) {
		if (strncmp(text, key, len) == 0 && text[len] == ':')
			return text + len + 1;
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return NULL;
}

bool node_parse_kb(const char *text, const char *key, uint64_t *ret_bytes)
{
	const char *p = find_key(text, key), *end;
	uint64_t kb;

	if (!p)
		return false;
	p += strspn(p, " \t");
	if (!parse_u64(p, 10, &kb, &end) || kb > UINT64_MAX / 1024)
		return false;
	if (strncmp(end, " kB", 3) != 0 || (end[3] != '\n' && end[3] != '\0'))
		return false;
	*ret_bytes = kb * 1024;
	return true;
}

/* The text after @n fields separated by blanks. */
static const char *skip_fields(const char *p, int n)
{
	for (; n > 0; n--) {
		p += strspn(p, " ");
		p += strcspn(p, " \n");
	}
	return p + strspn(p, " ");
}

/* "  sl  local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ..." */
bool node_parse_socket(const char *line, struct node_socket *ret)
{
	const char *local = skip_fields(line, 1), *end;
	const char *colon = local + strcspn(local, ": \n");
	uint64_t port, state, inode;

	if (!isdigit((unsigned char)line[strspn(line, " ")]) || *colon != ':')
		return false;
	if (!parse_u64(colon + 1, 16, &port, &end) || *end != ' ' || port > UINT16_MAX)
		return false;
	if (!parse_u64(skip_fields(line, 3), 16, &state, &end) || *end != ' ' || state > 0xff)
		return false;
	if (!parse_u64(skip_fields(line, 9), 10, &inode, &end))
		return false;
	*ret = (struct node_socket){ (uint16_t)port, (unsigned)state, inode };
	return true;
}

bool node_parse_socket_link(const char *target, uint64_t *ret_inode)
{
	static const char prefix[] = "socket:[";
	const char *end;

	return strncmp(target, prefix, sizeof(prefix) - 1) == 0 &&
			parse_u64(target + sizeof(prefix) - 1, 10, ret_inode, &end) && *end == ']';
}

bool node_parse_boot_id(const char *text, char ret[37])
{
	size_t len = strspn(text, "0123456789abcdef-");

	if (len != 36 || (text[36] != '\0' && text[36] != '\n'))
		return false;
	memcpy(ret, text, 36);
	ret[36] = '\0';
	return true;
}
