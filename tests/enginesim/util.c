#include "es.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define ES_BUF_MAX      (256u << 20) /* bytes; far above any answer, so reaching it is a bug here */
#define ES_LOG_LINE_MAX 8192         /* bytes of one log line */

static enum es_log_form log_form;
static char log_tag[64];
static const char *log_package = "vllm";

void *es_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p) {
		es_raw("enginesim: out of memory");
		es_exit(70);
	}
	return p;
}

static void buf_reserve(struct es_buf *b, size_t more)
{
	size_t want = b->len + more + 1;
	size_t cap = b->cap ? b->cap : 256;
	char *p;

	if (want <= b->cap)
		return;
	while (cap < want)
		cap *= 2;
	p = cap <= ES_BUF_MAX ? realloc(b->p, cap) : NULL;
	if (!p) {
		es_raw("enginesim: out of memory");
		es_exit(70);
	}
	b->p = p;
	b->cap = cap;
}

void es_buf_add(struct es_buf *b, const char *data, size_t len)
{
	buf_reserve(b, len);
	if (len)
		memcpy(b->p + b->len, data, len);
	b->len += len;
	b->p[b->len] = '\0';
}

void es_buf_printf(struct es_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	buf_reserve(b, (size_t)n);
	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void es_buf_free(struct es_buf *b)
{
	free(b->p);
	*b = (struct es_buf){ 0 };
}

double es_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void es_sleep_until(double when)
{
	struct timespec ts = { .tv_sec = (time_t)when };

	ts.tv_nsec = (long)((when - (double)ts.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

double es_env_num(const char *name, double fallback)
{
	const char *text = getenv(name);
	char *end = NULL;
	double v;

	if (!text || !*text)
		return fallback;
	v = strtod(text, &end);
	if (*end || !(v >= 0 && v < 1e12)) {
		es_raw("enginesim: %s='%s' is not a number that is 0 or more", name, text);
		es_exit(2);
	}
	return v;
}

void es_log_init(enum es_log_form form, const char *who, const char *package)
{
	log_form = form;
	log_package = package;
	if (form == ES_LOG_VLLM)
		snprintf(log_tag, sizeof(log_tag), "(%s pid=%d) ", who, (int)getpid());
	else if (form == ES_LOG_SGLANG)
		snprintf(log_tag, sizeof(log_tag), "%s", who);
}

/* What stands before the text of a line. Return: its length. */
static size_t put_head(char *line, size_t cap, const char *level, const char *where)
{
	char stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	int n = 0;

	line[0] = '\0';
	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), log_form == ES_LOG_SGLANG ? "%F %T" : "%m-%d %T", &tm);
	if (log_form == ES_LOG_VLLM)
		n = snprintf(line, cap, "%s%s %s [%s] ", log_tag, level, stamp, where);
	else if (log_form == ES_LOG_SGLANG)
		n = snprintf(line, cap, "[%s%s%s] ", stamp, *log_tag ? " " : "", log_tag);
	return (size_t)n < cap / 2 ? (size_t)n : cap / 2;
}

/* One write() a line: lines of several threads and of several processes on one pipe stay whole. */
static void put_line(int fd, char *line, size_t cap, size_t len)
{
	ssize_t n;

	if (len > cap - 2)
		len = cap - 2;
	line[len] = '\n';
	n = write(fd, line, len + 1);
	(void)n; /* nobody reads the log: not a reason to stop serving */
}

void es_log(const char *level, const char *where, const char *fmt, ...)
{
	char line[ES_LOG_LINE_MAX];
	size_t len = put_head(line, sizeof(line), level, where);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	put_line(STDOUT_FILENO, line, sizeof(line), len + (size_t)(n < 0 ? 0 : n));
}

void es_raw(const char *fmt, ...)
{
	char line[ES_LOG_LINE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put_line(STDERR_FILENO, line, sizeof(line), (size_t)(n < 0 ? 0 : n));
}

void es_exit(int code)
{
	_exit(code);
}

#ifdef ES_ASAN
void __lsan_do_leak_check(void);
#endif

void es_leak_check(void)
{
#ifdef ES_ASAN /* es_exit() does not run the sanitizer's own check */
	__lsan_do_leak_check();
#endif
}

void es_traceback(int code, const char *file, const char *last)
{
	const char *tag = log_form == ES_LOG_VLLM ? log_tag : "";

	if (log_form == ES_LOG_BARE) {
		es_raw("%s", last);
		es_exit(code);
	}
	es_raw("%sTraceback (most recent call last):", tag);
	es_raw("%s  File \"/usr/local/lib/python3.12/dist-packages/%s/%s\", line 1, in run", tag,
			log_package, file);
	es_raw("%s%s", tag, last);
	es_exit(code);
}

void es_thread(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t id;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 1u << 20);
	rc = pthread_create(&id, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	if (rc) {
		es_raw("enginesim: no new thread: %s", strerror(rc));
		es_exit(70);
	}
}

static int numeric(const char *host, int port, struct sockaddr_storage *sa, socklen_t *len)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sa;
	struct sockaddr_in *v4 = (struct sockaddr_in *)sa;

	memset(sa, 0, sizeof(*sa));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		*len = sizeof(*v4);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		*len = sizeof(*v6);
		return 0;
	}
	return -1;
}

/* The first address of /etc/hosts that has @host among its names; -1 if there is none. */
static int from_hosts(const char *host, char *ret_addr, size_t cap)
{
	FILE *f = fopen("/etc/hosts", "re");
	char line[1024], *save, *addr, *name;
	int rc = -1;

	while (f && rc < 0 && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "#")] = '\0';
		addr = strtok_r(line, " \t\r\n", &save);
		while (addr && rc < 0 && (name = strtok_r(NULL, " \t\r\n", &save)))
			if (!strcasecmp(name, host)) {
				snprintf(ret_addr, cap, "%s", addr);
				rc = 0;
			}
	}
	if (f)
		fclose(f);
	return rc;
}

int es_resolve(const char *host, int port, struct sockaddr_storage *ret_sa, socklen_t *ret_len)
{
	char addr[64];

	if (!host || !*host)
		host = "0.0.0.0";
	if (!numeric(host, port, ret_sa, ret_len))
		return 0;
	if (!from_hosts(host, addr, sizeof(addr)) && !numeric(addr, port, ret_sa, ret_len))
		return 0;
	if (!strcasecmp(host, "localhost"))
		return numeric("127.0.0.1", port, ret_sa, ret_len);
	return -1;
}

bool es_is_true(const char *s)
{
	static const char *const yes[] = { "1", "on", "true", "yes" };

	for (size_t i = 0; s && i < ES_COUNTOF(yes); i++)
		if (!strcasecmp(s, yes[i]))
			return true;
	return false;
}
