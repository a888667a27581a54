#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "config_parse.h"

#define FIRST_HUMAN_UID 1000u
#define HUMAN_UIDS_END  65000u
#define DISTANCE_MAX    64
#define NO_HUMAN_CACHE  "/var/lib/sparkbus/huggingface"

static const struct {
	const char *name;
	uint64_t bytes;
} units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "k", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
	{ "kB", UINT64_C(1000) },
	{ "MB", UINT64_C(1000000) },
	{ "GB", UINT64_C(1000000000) },
	{ "TB", UINT64_C(1000000000000) },
};

bool config_parse_size(const char *text, uint64_t *ret_bytes)
{
	unsigned long long number;
	char *end;

	if (text[0] < '0' || text[0] > '9') /* strtoull would take blanks and a sign */
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	end += strspn(end, " ");
	for (size_t i = 0; i < sb_countof(units); i++)
		if (strcasecmp(end, units[i].name) == 0)
			return !__builtin_mul_overflow((uint64_t)number, units[i].bytes, ret_bytes);
	return false;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned config_distance(const char *a, const char *b)
{
	unsigned rows[3][DISTANCE_MAX + 1], *above2 = rows[0], *above = rows[1], *row = rows[2];
	size_t na = strlen(a), nb = strlen(b);

	if (na > DISTANCE_MAX || nb > DISTANCE_MAX)
		return DISTANCE_MAX;
	for (size_t k = 0; k <= nb; k++)
		row[k] = (unsigned)k;
	for (size_t i = 1; i <= na; i++) {
		unsigned *spare = above2;

		above2 = above;
		above = row;
		row = spare;
		row[0] = (unsigned)i;
		for (size_t k = 1; k <= nb; k++) {
			row[k] = least(above[k], row[k - 1]) + 1;
			row[k] = least(row[k], above[k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				row[k] = least(row[k], above2[k - 2] + 1);
		}
	}
	return row[nb];
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_human(const struct passwd *user)
{
	return user->pw_uid >= FIRST_HUMAN_UID && user->pw_uid < HUMAN_UIDS_END && user->pw_dir &&
			user->pw_dir[0] == '/' && is_folder(user->pw_dir);
}

char *config_default_hf_cache(struct passwd *(*next)(void *ctx), void *ctx)
{
	SB_CLEANUP(sb_freep) char *first = NULL;
	struct passwd *user;

	while ((user = next(ctx))) {
		SB_CLEANUP(sb_freep) char *path = NULL;

		if (!is_human(user))
			continue;
		if (asprintf(&path, "%s/.cache/huggingface", user->pw_dir) < 0)
			return path = NULL;
		if (is_folder(path))
			return sb_steal(path);
		if (!first)
			first = sb_steal(path);
	}
	return first ? sb_steal(first) : strdup(NO_HUMAN_CACHE);
}
