/* The index is text: a head with the digest of the rest, then a line per recipe, fields between
 * tabs. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "recipe_index.h"
#include "sb_fs.h"
#include "sb_registry.h"

/* Raise it when listings say something else of the same file. */
#define FORMAT     "sparkbus-recipes 1 " SB_VERSION " "
#define DIGITS     64
#define INDEX_MAX  ((size_t)64 << 20)
#define ENTRY_MAX  100000
#define STAMP_MAX  80
#define N_TEXTS    (sizeof(struct recipe_facts) / sizeof(const char *))
#define INDEX_FILE "recipe-index"

struct entry {
	const char *path, *stamp;
	union {
		struct recipe_facts facts;
		const char *texts[N_TEXTS];
	};
	char *own; /* the memory of one that was added; else in the index's text */
};

struct recipe_index {
	char *folder, *path;
	struct sb_strbuf text;
	struct entry *entries; /* by path, those of the file */
	size_t n, n_read;
	bool changed;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static bool stamp_of(const char *path, char ret[STAMP_MAX])
{
	struct stat st;

	if (path[0] != '/' || stat(path, &st) < 0)
		return false;
	snprintf(ret, STAMP_MAX, "%lld %lld.%09ld %llu", (long long)st.st_size,
			(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			(unsigned long long)st.st_ino);
	return true;
}

/* --- reading --- */

static bool digest_of(const char *text, size_t len, char ret[DIGITS + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL))
		return false;
	for (size_t i = 0; i < DIGITS / 2; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return true;
}

/* "\t", "\n" and "\\" in place; the mark of an escape is '\\'. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++) {
		if (*at == '\\' && at[1]) {
			at++;
			*to++ = *at == 't' ? '\t' : *at == 'n' ? '\n' : *at;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

static bool take_line(struct entry *entry, char *line)
{
	char *fields[N_TEXTS + 2];
	size_t n = 0;

	for (char *rest = line; rest && n < sb_countof(fields); n++) {
		fields[n] = strsep(&rest, "\t");
		unescape(fields[n]);
	}
	if (n != sb_countof(fields))
		return false;
	entry->path = fields[0];
	entry->stamp = fields[1];
	for (size_t i = 0; i < N_TEXTS; i++)
		entry->texts[i] = fields[i + 2];
	return true;
}

static void read_index(struct recipe_index *index)
{
	size_t head = strlen(FORMAT), skip = head + DIGITS + 1, lines = 0;
	char digest[DIGITS + 1], *rest, *line;

	if (sb_fs_read(index->path, INDEX_MAX, &index->text, NULL) < 0 || index->text.len < skip ||
			memcmp(index->text.data, FORMAT, head) != 0 ||
			memchr(index->text.data, '\0', index->text.len) ||
			!digest_of(index->text.data + skip, index->text.len - skip, digest) ||
			memcmp(index->text.data + head, digest, DIGITS) != 0)
		return;
	rest = index->text.data + skip;
	for (const char *at = rest; (at = strchr(at, '\n')); at++)
		lines++;
	if (lines > ENTRY_MAX)
		return;
	index->entries = calloc(lines + 1, sizeof(*index->entries));
	while (index->entries && index->n < lines && (line = strsep(&rest, "\n")))
		if (take_line(&index->entries[index->n], line))
			index->n++;
	index->n_read = index->n;
}

static bool find_places(struct recipe_index *index)
{
	if (sb_registry_cache_home(&index->folder, NULL) < 0)
		return false;
	index->path = sb_fs_join(index->folder, INDEX_FILE);
	return index->path;
}

struct recipe_index *recipe_index_open(void)
{
	struct recipe_index *index = calloc(1, sizeof(*index));

	if (index && find_places(index))
		read_index(index);
	return index;
}

const struct recipe_facts *recipe_index_find(
		struct recipe_index *index, const struct recipe_source *source)
{
	const struct entry key = { .path = source->path };
	const struct entry *found;
	char stamp[STAMP_MAX];

	if (!index || !index->n_read || !stamp_of(source->path, stamp))
		return NULL;
	found = bsearch(&key, index->entries, index->n_read, sizeof(key), by_path);
	return found && !strcmp(found->stamp, stamp) ? &found->facts : NULL;
}

/* --- writing --- */

static void add_escaped(struct sb_strbuf *out, const char *text)
{
	for (; *text; text++) {
		size_t plain = strcspn(text, "\t\n\\");

		sb_strbuf_add(out, text, plain);
		text += plain;
		if (!*text)
			return;
		sb_strbuf_addc(out, '\\');
		sb_strbuf_addc(out, *text == '\t' ? 't' : *text == '\n' ? 'n' : '\\');
	}
}

static void add_line(struct sb_strbuf *out, const char *path, const char *stamp,
		const char *const *texts)
{
	add_escaped(out, path);
	sb_strbuf_addc(out, '\t');
	sb_strbuf_adds(out, stamp);
	for (size_t i = 0; i < N_TEXTS; i++) {
		sb_strbuf_addc(out, '\t');
		add_escaped(out, texts[i]);
	}
}

void recipe_index_add(struct recipe_index *index, const struct recipe_source *source,
		const struct recipe_facts *facts)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	struct entry entry = { .facts = *facts }, *grown;
	char stamp[STAMP_MAX];

	if (!index || index->n >= ENTRY_MAX || !stamp_of(source->path, stamp))
		return;
	add_line(&line, source->path, stamp, entry.texts);
	entry.own = sb_strbuf_steal(&line);
	grown = reallocarray(index->entries, index->n + 1, sizeof(*grown));
	if (grown)
		index->entries = grown;
	if (!grown || !entry.own || !take_line(&entry, entry.own)) {
		free(entry.own);
		return;
	}
	grown[index->n++] = entry;
	index->changed = true;
}

/* Not sb_fs_write(): nobody waits for the disk. What a power cut leaves of it has another digest.
 */
static void replace(const char *path, const char *text, size_t len)
{
	SB_CLEANUP(sb_freep) char *temp = NULL;
	SB_CLEANUP(sb_closep) int fd = -1;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd >= 0 && (write(fd, text, len) != (ssize_t)len || rename(temp, path) < 0))
		unlink(temp);
}

/* Of an entry and a newer one of the same file the newer one stays; of a file that is gone or was
 * changed, none. */
static void write_index(const struct recipe_index *index)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf body = SB_STRBUF_INIT, all = SB_STRBUF_INIT;
	char digest[DIGITS + 1], stamp[STAMP_MAX];
	const char *before = "";

	for (size_t i = 0; i < index->n; i++) {
		const struct entry *e = &index->entries[i];

		if (!strcmp(e->path, before) || !stamp_of(e->path, stamp) ||
				strcmp(stamp, e->stamp) != 0)
			continue;
		add_line(&body, e->path, e->stamp, e->texts);
		sb_strbuf_addc(&body, '\n');
		before = e->path;
	}
	if (body.failed || !digest_of(sb_strbuf_str(&body), body.len, digest) ||
			sb_strbuf_addf(&all, FORMAT "%s\n%s", digest, sb_strbuf_str(&body)) < 0 ||
			sb_fs_mkdirs(index->folder, 0700, NULL) < 0)
		return;
	replace(index->path, sb_strbuf_str(&all), all.len);
}

void recipe_index_close(struct recipe_index *index)
{
	if (!index)
		return;
	if (index->changed && index->path) {
		qsort(index->entries, index->n, sizeof(*index->entries), by_path);
		write_index(index);
	}
	for (size_t i = 0; i < index->n; i++)
		free(index->entries[i].own);
	free(index->entries);
	sb_strbuf_done(&index->text);
	free(index->folder);
	free(index->path);
	free(index);
}
