/* Names and folders that a list or a manifest may give. */
#include <string.h>
#include <strings.h>

#include "internal.h"

#define NAME_MAX_BYTES 63

/* Whoever calls his registry so poses as somebody else, unless it is at home there. Organisations
 * are those of github.com. */
static const char *const spark_arena[] = { "spark-arena", "scitrera", "eugr", "dbotwinick",
	"raphaelamorim", NULL };
static const char *const avarok[] = { "avarok-cybersecurity", NULL };

static const struct {
	const char *name;
	bool exact; /* else all that begin so */
	const char *const *owners;
} reserved[] = {
	{ "arena", false, spark_arena },
	{ "spark-arena", false, spark_arena },
	{ "sparkarena", false, spark_arena },
	{ "sparkrun", false, spark_arena },
	{ "official", false, spark_arena },
	{ "experimental", false, spark_arena },
	{ "transitional", false, spark_arena },
	{ "community", false, spark_arena },
	{ "eugr", false, spark_arena },
	{ "dbotwinick", false, spark_arena },
	{ "raphaelamorim", false, spark_arena },
	{ "scitrera", false, spark_arena },
	{ "atlas", true, avarok },
};

bool sb_registry_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_BYTES || strchr("._-", name[0]) || !strcasecmp(name, "local") ||
			!strcasecmp(name, "bundled"))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr("._-", name[i]) && !(name[i] >= '0' && name[i] <= '9') &&
				!((name[i] | 0x20) >= 'a' && (name[i] | 0x20) <= 'z'))
			return false;
	return true;
}

bool sb_registry_subpath_ok(const char *subpath)
{
	size_t len = strlen(subpath);

	if (!strcmp(subpath, "."))
		return true;
	if (!len || len > REG_SUBPATH_MAX)
		return false;
	for (const char *p = subpath; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '\\')
			return false;
	for (const char *part = subpath;; part++) {
		size_t n = strcspn(part, "/");

		/* Empty also for what begins or ends with a slash. */
		if (!n || (n == 1 && part[0] == '.') || (n == 2 && !strncmp(part, "..", 2)) ||
				(n == 4 && !strncasecmp(part, ".git", 4)))
			return false;
		part += n;
		if (!*part)
			return true;
	}
}

static bool is_home(const char *url, const char *const *owners)
{
	struct reg_url parts;

	if (reg_url_split(url, REG_URL_PLAIN, &parts, NULL) < 0 || !parts.host ||
			parts.scheme == REG_HTTP || parts.host_len != strlen("github.com") ||
			strncasecmp(parts.host, "github.com", parts.host_len) != 0)
		return false;
	for (; *owners; owners++) {
		size_t len = strlen(*owners);

		if (!strncasecmp(parts.path, *owners, len) && parts.path[len] == '/')
			return true;
	}
	return false;
}

bool sb_registry_name_free(const char *name, const char *url)
{
	for (size_t i = 0; i < sb_countof(reserved); i++) {
		size_t len = strlen(reserved[i].name);

		if (!strncasecmp(name, reserved[i].name, len) &&
				(!reserved[i].exact || !name[len]) &&
				!is_home(url, reserved[i].owners))
			return false;
	}
	return true;
}
