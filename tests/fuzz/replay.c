/* replay.c - feed files to a fuzz target without libFuzzer, so that each corpus, and each input
 * that once broke something, is a test in every build. Arguments are files, or folders of them. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX_BYTES (16u * 1024 * 1024)
#define PATH_MAX_BYTES  4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The copy is exactly as long as the input: a read past it is the sanitizer's to catch. */
static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	uint8_t *data = NULL;
	int rc = -1;

	if (!file || fstat(fileno(file), &st) < 0) {
		perror(path);
	} else if ((uint64_t)st.st_size > INPUT_MAX_BYTES) {
		fprintf(stderr, "%s: more than %u bytes\n", path, INPUT_MAX_BYTES);
	} else if (!(data = malloc(st.st_size ? (size_t)st.st_size : 1))) {
		perror(path);
	} else if (fread(data, 1, (size_t)st.st_size, file) != (size_t)st.st_size) {
		fprintf(stderr, "%s: short read\n", path);
	} else {
		/* Named first: what breaks here ends the process. */
		fprintf(stderr, "%s\n", path);
		rc = LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	}
	free(data);
	if (file)
		fclose(file);
	return rc;
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Return: how many inputs were replayed, or -1. */
static int replay_folder(const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, visible, alphasort);
	int rc = n;

	if (n < 0)
		perror(path);
	for (int i = 0; i < n; i++) {
		char file[PATH_MAX_BYTES];
		int len = snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);

		if (len < 0 || (size_t)len >= sizeof(file) || replay_file(file) < 0)
			rc = -1;
		free(entries[i]);
	}
	free(entries);
	return rc;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		int n;

		if (stat(argv[i], &st) < 0) {
			perror(argv[i]);
			return 1;
		}
		n = S_ISDIR(st.st_mode) ? replay_folder(argv[i])
					: (replay_file(argv[i]) < 0 ? -1 : 1);
		if (n < 0)
			return 1;
		total += n;
	}
	printf("%d inputs\n", total);
	if (total == 0)
		fprintf(stderr, "no inputs: a replay of nothing shows nothing\n");
	return total ? 0 : 1;
}
