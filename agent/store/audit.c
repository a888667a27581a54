#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "sb_fs.h"
#include "sb_store.h"

/* One O_APPEND write per line. The lock keeps the check of the size, the rotation and the write
 * together among threads; other processes do not write here (the store's lock sees to that). */

#define NAME_MAX_BYTES 256u /* operator, from, verb, job */

struct sb_audit {
	pthread_mutex_t lock;
	char *path;
	int fd;
};

/* A power cut in the middle of a write leaves a line without its end; the next must not join it. */
static int end_torn_line(int fd)
{
	struct stat st;
	char last;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0 || pread(fd, &last, 1, st.st_size - 1) != 1 || last == '\n')
		return 0;
	return write(fd, "\n", 1) == 1 ? 0 : -errno;
}

static int open_file(struct sb_audit *audit, struct sb_err *err)
{
	SB_CLEANUP(sb_closep)
	int fd = open(audit->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return sb_err_errno(err, errno, "%s", audit->path);
	rc = end_torn_line(fd);
	if (rc < 0)
		return sb_err_errno(err, -rc, "%s", audit->path);
	sb_closep(&audit->fd);
	audit->fd = fd;
	fd = -1;
	return 0;
}

int sb_audit_open(const char *path, struct sb_audit **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_audit_closep) struct sb_audit *audit = calloc(1, sizeof(*audit));
	int rc;

	if (!audit)
		return sb_err_nomem(err);
	pthread_mutex_init(&audit->lock, NULL);
	audit->fd = -1;
	audit->path = strdup(path);
	if (!audit->path)
		return sb_err_nomem(err);
	rc = open_file(audit, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "audit file");
	*ret = sb_steal(audit);
	return 0;
}

void sb_audit_close(struct sb_audit *audit)
{
	if (!audit)
		return;
	sb_closep(&audit->fd);
	pthread_mutex_destroy(&audit->lock);
	free(audit->path);
	free(audit);
}

/* "audit.log" becomes "audit.log.1", and so on; what was SB_AUDIT_KEEP goes. */
static int rotate(struct sb_audit *audit, struct sb_err *err)
{
	for (int i = SB_AUDIT_KEEP; i >= 1; i--) {
		SB_CLEANUP(sb_freep) char *from = NULL;
		SB_CLEANUP(sb_freep) char *to = NULL;
		int n = i == 1 ? asprintf(&from, "%s", audit->path)
			       : asprintf(&from, "%s.%d", audit->path, i - 1);

		if (n < 0 || asprintf(&to, "%s.%d", audit->path, i) < 0)
			return sb_err_nomem(err);
		if (rename(from, to) < 0 && errno != ENOENT)
			return sb_err_errno(err, errno, "rename %s", from);
	}
	return open_file(audit, err);
}

/* All of @line or none of it: a part that a full disk let through is taken back. */
static int write_line(struct sb_audit *audit, const char *line, size_t len, struct sb_err *err)
{
	struct stat st;
	ssize_t n;
	int errnum;

	if (fstat(audit->fd, &st) < 0)
		return sb_err_errno(err, errno, "%s", audit->path);
	if (st.st_size > 0 && (uint64_t)st.st_size + len > SB_AUDIT_MAX_BYTES) {
		int rc = rotate(audit, err);

		if (rc < 0)
			return rc;
		st.st_size = 0;
	}
	do
		n = write(audit->fd, line, len);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return 0;
	errnum = n < 0 ? errno : ENOSPC;
	if (n > 0 && ftruncate(audit->fd, st.st_size) < 0)
		errnum = errno;
	return sb_err_errno(err, errnum, "%s", audit->path);
}

/* RFC 3339, UTC, milliseconds. */
static void format_now(char *buf, size_t size)
{
	uint64_t now = sb_now_unix_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, size - len, ".%03uZ", (unsigned)(now % 1000));
}

static int put_text(json_t *object, const char *key, const char *text, size_t max)
{
	char clean[SB_AUDIT_TEXT_MAX + 2];
	size_t len = text ? strnlen(text, max + 1) : 0, cut = sb_text_cut(text, len, max);

	if (cut)
		memcpy(clean, text, cut);
	strcpy(clean + cut, cut < len ? "+" : "");
	sb_text_clean(clean);
	return json_object_set_new(object, key, json_string(clean));
}

int sb_audit_add(struct sb_audit *audit, const char *operator_name, const char *from,
		const char *verb, const char *job, enum sb_code outcome, const char *text,
		struct sb_err *err)
{
	SB_CLEANUP(json_decrefp) json_t *object = json_object();
	SB_CLEANUP(sb_freep) char *dumped = NULL;
	SB_CLEANUP(sb_freep) char *line = NULL;
	char now[40];
	int len, rc;

	if (!object)
		return sb_err_nomem(err);
	pthread_mutex_lock(&audit->lock); /* before the clock is read: lines are in time's order */
	format_now(now, sizeof(now));
	rc = json_object_set_new(object, "time", json_string(now));
	rc |= put_text(object, "operator", operator_name, NAME_MAX_BYTES);
	rc |= put_text(object, "from", from, NAME_MAX_BYTES);
	rc |= put_text(object, "verb", verb, NAME_MAX_BYTES);
	rc |= put_text(object, "job", job, NAME_MAX_BYTES);
	rc |= json_object_set_new(object, "outcome", json_string(sb_code_name(outcome)));
	rc |= put_text(object, "text", text, SB_AUDIT_TEXT_MAX);
	dumped = rc ? NULL : json_dumps(object, JSON_COMPACT);
	len = dumped ? asprintf(&line, "%s\n", dumped) : -1;
	rc = len < 0 ? sb_err_nomem(err) : write_line(audit, line, (size_t)len, err);
	pthread_mutex_unlock(&audit->lock);
	return rc < 0 ? sb_err_wrap(err, rc, "audit file") : 0;
}
