/* gguf.c - find a GGUF model in the model cache.
 *
 * What lies there was written by others, over years. Nothing is followed that leads out of the
 * cache or begins at the root, because the container has the cache alone, under another name. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sb_gguf.h"
#include "sb_strbuf.h"

#define NAME_MAX_LEN  200u  /* of a repository, a revision, a quant */
#define DEPTH_MAX     4u    /* of folders below a snapshot */
#define ENTRIES_MAX   4096u /* looked at in a snapshot */
#define PARTS_MAX     999u
#define QUANT_DEFAULT "Q4_K_M"

/* How well a name has the quant: lower is better. */
enum match { WORD, WORD_ANY_CASE, PART, PART_ANY_CASE, NONE };

struct search {
	int root; /* the cache */
	const char *quant;
	unsigned n_entries;
	struct sb_strbuf best; /* path below the snapshot */
	enum match best_match;
	bool best_whole, any;
};

/* --- names --- */

/* Parts of letters, digits and ". _ -", none of which begins with a dot; at most @max_parts. */
static bool is_path(const char *text, unsigned max_parts)
{
	unsigned parts = 1;

	if (!*text || strlen(text) > NAME_MAX_LEN || *text == '/' || *text == '.')
		return false;
	for (const char *c = text; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-/", *c))
			return false;
		if (*c == '/' && (++parts > max_parts || !c[1] || c[1] == '/' || c[1] == '.'))
			return false;
	}
	return true;
}

int sb_gguf_check(const Sparkbus__GgufModel *want, size_t n_argv, struct sb_err *err)
{
	if (want->word < 1 || want->word >= n_argv)
		return sb_err_set(err, SB_E_INVALID, "the GGUF model is said to be word %u of %zu",
				want->word, n_argv);
	if (!is_path(want->repo, 2) || (*want->revision && !is_path(want->revision, 8)) ||
			(*want->quant && !is_path(want->quant, 1)))
		return sb_err_set(err, SB_E_INVALID,
				"'%.80s' at '%.80s', '%.80s', is no GGUF model: expected "
				"organisation/name, a revision and a part of a file's name",
				want->repo, want->revision, want->quant);
	return 0;
}

/* What may stand in a command, a log and a message. */
static bool is_plain(const char *name)
{
	for (; *name; name++)
		if (*name < ' ' || *name > '~')
			return false;
	return true;
}

static bool is_model(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && !strcasecmp(name + len - 5, ".gguf") && is_plain(name) &&
			!strcasestr(name, "mmproj") && !strcasestr(name, "imatrix");
}

/* "...-00002-of-00003.gguf" is part 2 of 3; anything else is 1 of 1. *@ret_at: where the digits of
 * the part begin. */
static unsigned part_of(const char *path, unsigned *ret_parts, size_t *ret_at)
{
	static const char tail[] = "-00000-of-00000.gguf";
	size_t len = strlen(path), n = sizeof(tail) - 1;
	unsigned part = 0, parts = 0;
	const char *at = path + len - n;

	*ret_parts = 1;
	if (len <= n)
		return 1;
	for (size_t i = 0; i < n - 5; i++)
		if (tail[i] == '0' ? !isdigit((unsigned char)at[i]) : at[i] != tail[i])
			return 1;
	sscanf(at, "-%5u-of-%5u", &part, &parts);
	if (!parts || parts > PARTS_MAX)
		return 1;
	*ret_parts = parts;
	*ret_at = len - n + 1;
	return part;
}

static bool is_word(const char *name, const char *hit, size_t len)
{
	return (hit == name || strchr("-._ ", hit[-1])) && (!hit[len] || strchr("-. ", hit[len]));
}

static enum match match_of(const char *name, const char *quant)
{
	size_t len = strlen(quant);
	enum match best = NONE;

	for (const char *c = name; *c; c++) {
		bool same = !strncmp(c, quant, len);
		enum match this = same ? PART : PART_ANY_CASE;

		if (!same && strncasecmp(c, quant, len) != 0)
			continue;
		if (is_word(name, c, len))
			this = same ? WORD : WORD_ANY_CASE;
		if (this < best)
			best = this;
	}
	return best;
}

/* --- the cache --- */

static int open_below(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static bool is_file(int root, const char *path)
{
	int fd = open_below(root, path, O_PATH);
	struct stat st;
	bool yes = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;

	if (fd >= 0)
		close(fd);
	return yes;
}

static bool is_folder(int root, const char *path)
{
	int fd = open_below(root, path, O_PATH | O_DIRECTORY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool is_whole(int root, const char *path)
{
	SB_CLEANUP(sb_freep) char *other = strdup(path);
	size_t at = 0;
	unsigned parts;

	if (!other)
		return false;
	part_of(path, &parts, &at);
	for (unsigned i = 2; i <= parts; i++) {
		char digits[16];

		snprintf(digits, sizeof(digits), "%05u", i);
		memcpy(other + at, digits, 5);
		if (!is_file(root, other))
			return false;
	}
	return true;
}

/* Before, in the order of folders and names? */
static bool before(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == '/' || *b == '/' ? *a == '/' && *b != '/'
				      : (unsigned char)*a < (unsigned char)*b;
}

static void consider(struct search *s, const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	enum match match = *s->quant ? match_of(name, s->quant) : WORD;
	unsigned parts;
	size_t at;
	bool whole;

	if (match == NONE || match > s->best_match || part_of(path, &parts, &at) != 1 ||
			!is_file(s->root, path))
		return;
	whole = is_whole(s->root, path);
	if (s->any && match == s->best_match &&
			(whole < s->best_whole ||
					(whole == s->best_whole &&
							!before(path, sb_strbuf_str(&s->best)))))
		return;
	s->any = true;
	s->best_match = match;
	s->best_whole = whole;
	sb_strbuf_reset(&s->best);
	sb_strbuf_adds(&s->best, path);
}

static int walk(struct search *s, const char *path, unsigned depth)
{
	int fd = open_below(s->root, path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int rc = 0;

	if (!dir && fd >= 0)
		close(fd);
	while (rc == 0 && dir && (entry = readdir(dir))) {
		SB_CLEANUP(sb_freep) char *below = NULL;

		if (entry->d_name[0] == '.')
			continue;
		if (++s->n_entries > ENTRIES_MAX)
			rc = -SB_E_RANGE;
		else if (asprintf(&below, "%s/%s", path, entry->d_name) < 0)
			rc = -SB_E_NOMEM, below = NULL;
		else if (is_model(entry->d_name))
			consider(s, below);
		else if (entry->d_type != DT_LNK && depth < DEPTH_MAX && is_folder(s->root, below))
			rc = walk(s, below, depth + 1);
	}
	if (dir)
		closedir(dir);
	return rc;
}

/* The commit that the file of a reference has. */
static bool read_ref(int root, const char *path, char *ret, size_t room)
{
	int fd = open_below(root, path, O_RDONLY | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, ret, room - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	ret[n] = '\0';
	ret[strcspn(ret, " \t\r\n")] = '\0';
	return is_path(ret, 1);
}

/* The only snapshot; a cache without references may have several, and no way to choose. */
static bool only_snapshot(int root, const char *model, char *ret, size_t room)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	int fd = asprintf(&path, "%s/snapshots", model) < 0
			? -1
			: open_below(root, path, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	unsigned n = 0;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && n < 2 && (entry = readdir(dir)))
		if (is_path(entry->d_name, 1) && strlen(entry->d_name) < room) {
			strcpy(ret, entry->d_name);
			n++;
		}
	if (dir)
		closedir(dir);
	return n == 1;
}

/* Path of the snapshot below the cache, allocated; NULL when there is none. */
static char *snapshot_of(int root, const char *model, const char *revision)
{
	SB_CLEANUP(sb_freep) char *ref = NULL;
	char commit[NAME_MAX_LEN + 1] = "", *path = NULL;
	bool found = asprintf(&ref, "%s/refs/%s", model, *revision ? revision : "main") >= 0 &&
			read_ref(root, ref, commit, sizeof(commit));

	if (!found && *revision && is_path(revision, 1)) {
		snprintf(commit, sizeof(commit), "%s", revision);
		found = true;
	}
	if (!found && !*revision)
		found = only_snapshot(root, model, commit, sizeof(commit));
	if (!found || asprintf(&path, "%s/snapshots/%s", model, commit) < 0)
		return NULL;
	if (is_folder(root, path))
		return path;
	free(path);
	return NULL;
}

/* --- the search --- */

static int search(struct search *s, const char *snapshot)
{
	s->best_match = NONE;
	s->any = false;
	s->n_entries = 0;
	return walk(s, snapshot, 0);
}

static void search_done(struct search *s)
{
	sb_strbuf_done(&s->best);
}

static int find(int root, const Sparkbus__GgufModel *want, const char *snapshot, char **ret_path,
		struct sb_err *err)
{
	SB_CLEANUP(search_done)
	struct search s = { .root = root, .quant = *want->quant ? want->quant : QUANT_DEFAULT };
	int rc = search(&s, snapshot);

	if (rc == 0 && !s.any && !*want->quant) {
		s.quant = "";
		rc = search(&s, snapshot);
	}
	if (rc == -SB_E_RANGE)
		return sb_err_set(err, SB_E_RANGE, "%s has more than %u entries", snapshot,
				ENTRIES_MAX);
	if (rc < 0 || s.best.failed)
		return sb_err_nomem(err);
	if (!s.any)
		return sb_err_set(err, SB_E_NOT_FOUND, "%s has no GGUF file%s%s", snapshot,
				*s.quant ? " for " : "", s.quant);
	if (!s.best_whole)
		return sb_err_set(err, SB_E_NOT_FOUND, "parts are missing of %s",
				sb_strbuf_str(&s.best));
	*ret_path = sb_strbuf_steal(&s.best);
	return *ret_path ? 0 : sb_err_nomem(err);
}

int sb_gguf_find(const char *hf_cache, const Sparkbus__GgufModel *want, char **ret_path,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf model = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *snapshot = NULL;
	int root, rc;

	sb_strbuf_adds(&model, "hub/models--");
	for (const char *c = want->repo; *c; c++)
		sb_strbuf_add(&model, *c == '/' ? "--" : c, *c == '/' ? 2 : 1);
	if (model.failed)
		return sb_err_nomem(err);
	root = open(hf_cache, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return sb_err_set(err, SB_E_NOT_FOUND, "%s: %s", hf_cache, strerror(errno));
	snapshot = snapshot_of(root, sb_strbuf_str(&model), want->revision);
	rc = snapshot ? find(root, want, snapshot, ret_path, err)
		      : sb_err_set(err, SB_E_NOT_FOUND, "%s is not in the model cache %s",
					want->repo, hf_cache);
	close(root);
	return rc;
}
