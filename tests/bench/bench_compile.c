/* bench_compile.c - what a recipe costs from its text to its plan.
 * usage: bench_compile COUNT FILE...; each file is parsed, resolved and compiled COUNT times for as
 * many nodes as it asks for. Prints "median worst" in microseconds: of all files, and of the file
 * with the highest median; and that file's name. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sb_fs.h"
#include "sb_plan.h"

#define COUNT_MAX 100000
#define NODES_MAX 16

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int compile(const char *path, const struct sb_strbuf *text, struct sb_err *err)
{
	static const struct sb_plan_node nodes[NODES_MAX] = { { "n1", "n1", "n1", 1 },
		{ "n2", "n2", "n2", 1 }, { "n3", "n3", "n3", 1 }, { "n4", "n4", "n4", 1 },
		{ "n5", "n5", "n5", 1 }, { "n6", "n6", "n6", 1 }, { "n7", "n7", "n7", 1 },
		{ "n8", "n8", "n8", 1 } };
	SB_CLEANUP(sb_diags_done) struct sb_diags diags = SB_DIAGS_INIT;
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	struct sb_plan_input input = { .nodes = nodes };
	Sparkbus__LaunchPlan *plan = NULL;
	int rc = sb_recipe_parse(path, sb_strbuf_str(text), text->len, NULL, &diags, &recipe, err);

	if (rc == 0)
		rc = sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, &diags, &w, err);
	if (rc < 0)
		return rc;
	input.n_nodes = sb_plan_nodes_wanted(w);
	if (input.n_nodes > 8)
		return sb_err_set(err, SB_E_RANGE, "%s: for more than 8 nodes", path);
	rc = sb_plan_compile(w, &input, &diags, &plan, err);
	if (rc == 0)
		sparkbus__launch_plan__free_unpacked(plan, NULL);
	return rc;
}

/* The median of @path in *@ret, in nanoseconds. */
static int measure(
		const char *path, uint64_t *took, size_t count, uint64_t *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc = sb_fs_read(path, SB_YAML_MAX_BYTES, &text, err);

	for (size_t i = 0; rc == 0 && i < count; i++) {
		uint64_t start = now_ns();

		rc = compile(path, &text, err);
		took[i] = now_ns() - start;
	}
	if (rc < 0)
		return rc;
	qsort(took, count, sizeof(*took), compare);
	*ret = took[count / 2];
	return 0;
}

int main(int argc, char **argv)
{
	size_t count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0, n = 0, worst = 0;
	uint64_t *took = calloc(count + 1, sizeof(*took));
	uint64_t *medians = calloc((size_t)argc, sizeof(*medians)), slowest = 0;
	struct sb_err err = SB_ERR_INIT;

	if (!count || count > COUNT_MAX || !took || !medians) {
		fprintf(stderr, "usage: bench_compile COUNT FILE...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++, n++) {
		if (measure(argv[i], took, count, &medians[n], &err) < 0) {
			fprintf(stderr, "bench_compile: %s\n", err.text);
			return 1;
		}
		if (medians[n] > slowest) {
			slowest = medians[n];
			worst = (size_t)i;
		}
	}
	qsort(medians, n, sizeof(*medians), compare);
	printf("%.1f %.1f %s\n", (double)medians[n / 2] / 1e3, (double)slowest / 1e3, argv[worst]);
	free(took);
	free(medians);
	return 0;
}
