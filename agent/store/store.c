#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sb_fs.h"
#include "sb_store.h"

/* <dir>/lock          flock()ed for as long as the store is open; holds the owner's process id
 * <dir>/jobs/<job>.pb one record each; sb_fs_write() replaces it whole: one fsync of the file and
 *                     one of the folder per put, which is what a crash-safe replacement costs
 * <dir>/jobs/<job>.bad set aside
 * <dir>/jobs/<...>.tmp what a crash in the middle of a put left */

#define RECORD_SUFFIX ".pb"

struct sb_store {
	char *jobs_dir;
	size_t records;
	int lock_fd;
};

struct name_list {
	char **names;
	size_t count, space;
};

static void name_list_done(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), end = strlen(suffix);

	return len >= end && strcmp(name + len - end, suffix) == 0;
}

/* Ids come from the network and become file names. */
static bool job_ok(const char *job)
{
	size_t len = strspn(job, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return len >= 1 && len <= SB_STORE_JOB_MAX && job[len] == '\0';
}

static int check_job(const char *job, struct sb_err *err)
{
	if (job && job_ok(job))
		return 0;
	return sb_err_set(err, SB_E_INVALID,
			"job id \"%.80s\": expected 1 to %d of a-z, 0-9, '_' and '-'",
			job ? job : "", SB_STORE_JOB_MAX);
}

/* On the heap, as sb_fs_join(). */
static char *job_path(const struct sb_store *store, const char *job, const char *suffix)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s%s", store->jobs_dir, job, suffix) < 0 ? NULL : path;
}

static int lock_is_taken(int fd, const char *path, struct sb_err *err)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	text[n < 0 ? 0 : n] = '\0';
	pid = strtol(text, NULL, 10);
	if (pid > 0)
		sb_err_set(err, SB_E_BUSY, "%s: in use by process %ld", path, pid);
	else
		sb_err_set(err, SB_E_BUSY, "%s: in use by another process", path);
	return sb_err_hint(err, -SB_E_BUSY,
			"only one agent can use a state folder: stop the other one");
}

static int take_lock(const char *dir, int *ret_fd, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(dir, "lock");
	SB_CLEANUP(sb_closep) int fd = -1;
	char pid[32];

	if (!path)
		return sb_err_nomem(err);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return sb_err_errno(err, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? lock_is_taken(fd, path, err)
					    : sb_err_errno(err, errno, "lock %s", path);
	/* The lock is what counts; the number is for people, so a full disk does not matter. */
	snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
		errno = 0;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int name_list_add(struct name_list *list, const char *name, size_t len)
{
	if (list->count == list->space) {
		size_t space = list->space ? list->space * 2 : 32;
		char **names = reallocarray(list->names, space, sizeof(*names));

		if (!names)
			return -SB_E_NOMEM;
		list->names = names;
		list->space = space;
	}
	list->names[list->count] = strndup(name, len);
	if (!list->names[list->count])
		return -SB_E_NOMEM;
	list->count++;
	return 0;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Names (without the suffix) of the files that end in @suffix. */
static int list_files(
		const char *dir, const char *suffix, struct name_list *ret, struct sb_err *err)
{
	SB_CLEANUP(closedirp) DIR *d = opendir(dir);
	struct dirent *entry;

	if (!d)
		return sb_err_errno(err, errno, "%s", dir);
	for (;;) {
		errno = 0;
		entry = readdir(d);
		if (!entry)
			return errno ? sb_err_errno(err, errno, "%s", dir) : 0;
		if (!has_suffix(entry->d_name, suffix))
			continue;
		if (name_list_add(ret, entry->d_name, strlen(entry->d_name) - strlen(suffix)) < 0)
			return sb_err_nomem(err);
	}
}

/* A put that never got to its rename; what it was to replace is still there. */
static int clean_temporaries(struct sb_store *store, struct sb_err *err)
{
	SB_CLEANUP(name_list_done) struct name_list list = { 0 };
	int rc = list_files(store->jobs_dir, ".tmp", &list, err);

	for (size_t i = 0; rc == 0 && i < list.count; i++) {
		SB_CLEANUP(sb_freep) char *path = job_path(store, list.names[i], ".tmp");

		if (!path)
			return sb_err_nomem(err);
		if (unlink(path) < 0 && errno != ENOENT)
			return sb_err_errno(err, errno, "remove %s", path);
	}
	return rc;
}

static int count_records(struct sb_store *store, struct sb_err *err)
{
	SB_CLEANUP(name_list_done) struct name_list list = { 0 };
	int rc = list_files(store->jobs_dir, RECORD_SUFFIX, &list, err);

	store->records = list.count;
	return rc;
}

int sb_store_open(const char *dir, struct sb_store **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_store_closep) struct sb_store *store = calloc(1, sizeof(*store));
	int rc;

	if (!store)
		return sb_err_nomem(err);
	store->lock_fd = -1;
	store->jobs_dir = sb_fs_join(dir, "jobs");
	if (!store->jobs_dir)
		return sb_err_nomem(err);
	rc = sb_fs_mkdirs(dir, 0700, err);
	if (rc == 0)
		rc = take_lock(dir, &store->lock_fd, err);
	if (rc == 0)
		rc = sb_fs_mkdirs(store->jobs_dir, 0700, err);
	if (rc == 0)
		rc = clean_temporaries(store, err);
	if (rc == 0)
		rc = count_records(store, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "job store");
	*ret = sb_steal(store);
	return 0;
}

void sb_store_close(struct sb_store *store)
{
	if (!store)
		return;
	sb_closep(&store->lock_fd); /* releases the lock; the file stays, or two could hold "it" */
	free(store->jobs_dir);
	free(store);
}

int sb_store_put(struct sb_store *store, const char *job, const void *data, size_t len,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	bool is_new;
	int rc = check_job(job, err);

	if (rc < 0)
		return rc;
	if (len > SB_STORE_RECORD_MAX)
		return sb_err_set(err, SB_E_RANGE, "record of job %s: %zu bytes, more than %zu",
				job, len, SB_STORE_RECORD_MAX);
	path = job_path(store, job, RECORD_SUFFIX);
	if (!path)
		return sb_err_nomem(err);
	is_new = access(path, F_OK) < 0;
	if (is_new && store->records >= SB_STORE_JOBS_MAX)
		return sb_err_set(err, SB_E_RANGE, "job %s: %zu jobs are kept already", job,
				store->records);
	rc = sb_fs_write(path, data, len, 0600, err);
	if (rc == -SB_E_RANGE)
		sb_err_hint(err, rc, "make room on the file system of %s; %s", store->jobs_dir,
				is_new ? "the job is not recorded"
				       : "the job's earlier record is kept");
	if (rc < 0)
		return sb_err_wrap(err, rc, "record of job %s", job);
	store->records += is_new;
	return 0;
}

int sb_store_remove(struct sb_store *store, const char *job, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	bool is_there;
	int rc = check_job(job, err);

	if (rc < 0)
		return rc;
	path = job_path(store, job, RECORD_SUFFIX);
	if (!path)
		return sb_err_nomem(err);
	is_there = access(path, F_OK) == 0;
	rc = sb_fs_remove(path, err);
	if (is_there && access(path, F_OK) < 0 && store->records)
		store->records--;
	return rc < 0 ? sb_err_wrap(err, rc, "record of job %s", job) : 0;
}

static void set_aside(struct sb_store *store, const char *name)
{
	SB_CLEANUP(sb_freep) char *from = job_path(store, name, RECORD_SUFFIX);
	SB_CLEANUP(sb_freep) char *to = job_path(store, name, ".bad");

	/* Not synced: if a power cut undoes it, the next walk finds the same record bad again. */
	if (from && to && rename(from, to) == 0 && store->records)
		store->records--;
}

void sb_store_set_aside(struct sb_store *store, const char *job)
{
	if (check_job(job, NULL) == 0)
		set_aside(store, job);
}

static int read_record(const struct sb_store *store, const char *name, struct sb_strbuf *ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = job_path(store, name, RECORD_SUFFIX);
	struct stat st;
	int rc = check_job(name, err);

	if (rc < 0)
		return rc;
	if (!path)
		return sb_err_nomem(err);
	if (lstat(path, &st) < 0)
		return sb_err_errno(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode)) /* opening a fifo would wait for ever */
		return sb_err_set(err, SB_E_INVALID, "%s: is not a regular file", path);
	return sb_fs_read(path, SB_STORE_RECORD_MAX, ret, err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int sb_store_each(struct sb_store *store,
		int (*fn)(void *ctx, const char *job, const void *data, size_t len),
		void (*bad)(void *ctx, const char *job, const struct sb_err *err), void *ctx,
		struct sb_err *err)
{
	SB_CLEANUP(name_list_done) struct name_list list = { 0 };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf data = { .max = SB_STORE_RECORD_MAX };
	int rc = list_files(store->jobs_dir, RECORD_SUFFIX, &list, err);

	if (rc < 0)
		return rc;
	if (list.count)
		qsort(list.names, list.count, sizeof(*list.names), by_name);
	for (size_t i = 0; i < list.count; i++) {
		struct sb_err why = SB_ERR_INIT;

		sb_strbuf_reset(&data);
		rc = read_record(store, list.names[i], &data, &why);
		if (rc == -SB_E_NOT_FOUND)
			continue; /* @fn removed it */
		if (rc == -SB_E_NOMEM)
			return sb_err_nomem(err);
		if (rc == -SB_E_RANGE || rc == -SB_E_INVALID)
			set_aside(store, list.names[i]);
		if (rc < 0 && bad)
			bad(ctx, list.names[i], &why);
		if (rc < 0)
			continue;
		rc = fn(ctx, list.names[i], sb_strbuf_str(&data), data.len);
		if (rc < 0)
			return sb_err_set(err, (enum sb_code) - rc, "record of job %s",
					list.names[i]);
	}
	return 0;
}
