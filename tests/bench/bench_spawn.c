/* bench_spawn.c - how long a command takes from spawn to exit, without a shell in between.
 * usage: bench_spawn COUNT COMMAND [ARGS...]; prints "median p95 min max" in microseconds.
 * The command's output is dropped; a status that is not 0 ends the measurement, unless the first
 * argument is "-" followed by the status to accept. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define COUNT_MAX 1000000

extern char **environ;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Return: microseconds, or -1 after saying why. */
static int64_t spawn_once(char **argv, const posix_spawn_file_actions_t *quiet, int accept)
{
	uint64_t start = now_us(), end;
	int status = 0, rc;
	pid_t pid;

	rc = posix_spawnp(&pid, argv[0], quiet, NULL, argv, environ);
	if (rc) {
		fprintf(stderr, "bench_spawn: %s: %s\n", argv[0], strerror(rc));
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end = now_us();
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != accept)) {
		fprintf(stderr, "bench_spawn: %s ended with wait status %#x\n", argv[0],
				(unsigned)status);
		return -1;
	}
	return (int64_t)(end - start);
}

int main(int argc, char **argv)
{
	posix_spawn_file_actions_t quiet;
	uint64_t *took;
	int accept = 0;
	long n;

	if (argc > 3 && !strcmp(argv[1], "-")) {
		accept = atoi(argv[2]);
		argv += 2;
		argc -= 2;
	}
	n = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
	if (n < 1 || n > COUNT_MAX) {
		fprintf(stderr, "usage: bench_spawn [- STATUS] COUNT COMMAND [ARGS...]\n");
		return 2;
	}
	took = calloc((size_t)n, sizeof(*took));
	if (!took || posix_spawn_file_actions_init(&quiet) ||
			posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0)) {
		fprintf(stderr, "bench_spawn: out of memory\n");
		return 1;
	}
	for (long i = 0; i < n; i++) {
		int64_t us = spawn_once(argv + 2, &quiet, accept);

		if (us < 0)
			return 1;
		took[i] = (uint64_t)us;
	}
	qsort(took, (size_t)n, sizeof(*took), compare);
	printf("%llu %llu %llu %llu\n", (unsigned long long)took[n / 2],
			(unsigned long long)took[n * 95 / 100], (unsigned long long)took[0],
			(unsigned long long)took[n - 1]);
	posix_spawn_file_actions_destroy(&quiet);
	free(took);
	return 0;
}
