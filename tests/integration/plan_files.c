/* plan_files.c - RECIPE DIR SECRET ADDRESS...: compile for these nodes and leave in DIR/RANK what
 * the rank's container would find: its files, and its words, one a line, in "argv". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_fs.h"
#include "sb_plan.h"

#define NODES_MAX 8

static void die(const struct sb_err *err)
{
	fprintf(stderr, "plan_files: %s\n", err->text);
	exit(1);
}

static Sparkbus__LaunchPlan *compile(const char *path, const struct sb_plan_input *input)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	Sparkbus__LaunchPlan *plan = NULL;
	struct sb_err err = SB_ERR_INIT;

	if (sb_fs_read(path, SB_YAML_MAX_BYTES, &text, &err) < 0 ||
			sb_recipe_parse(path, text.data, text.len, NULL, NULL, &recipe, &err) < 0 ||
			sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, NULL, &w, &err) < 0 ||
			sb_plan_compile(w, input, NULL, &plan, &err) < 0)
		die(&err);
	return plan;
}

static void write_file(const char *path, const void *content, size_t len, unsigned mode)
{
	SB_CLEANUP(sb_freep) char *dir = strdup(path);
	struct sb_err err = SB_ERR_INIT;
	FILE *out;

	*strrchr(dir, '/') = '\0';
	if (sb_fs_mkdirs(dir, 0755, &err) < 0)
		die(&err);
	out = fopen(path, "w");
	if (!out || fwrite(content, 1, len, out) != len || fchmod(fileno(out), mode) < 0 ||
			fclose(out) != 0) {
		perror(path);
		exit(1);
	}
}

static void write_rank(const char *dir, const Sparkbus__RankSpec *rank)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf argv = SB_STRBUF_INIT;
	char path[4096];

	for (size_t i = 0; i < rank->n_files; i++) {
		const Sparkbus__File *file = rank->files[i];

		snprintf(path, sizeof(path), "%s/%u%s", dir, rank->rank, file->path);
		write_file(path, file->content.data, file->content.len,
				file->mode ? file->mode : 0644);
	}
	for (size_t i = 0; i < rank->n_argv; i++)
		sb_strbuf_addf(&argv, "%s\n", rank->argv[i]);
	snprintf(path, sizeof(path), "%s/%u/argv", dir, rank->rank);
	write_file(path, sb_strbuf_str(&argv), argv.len, 0644);
}

int main(int argc, char **argv)
{
	struct sb_plan_node nodes[NODES_MAX];
	struct sb_plan_input input = { .nodes = nodes, .now_unix_ms = 1 };
	Sparkbus__LaunchPlan *plan;

	if (argc < 5 || argc - 4 > NODES_MAX) {
		fprintf(stderr, "usage: plan_files RECIPE DIR SECRET ADDRESS...\n");
		return 2;
	}
	input.secret = argv[3];
	for (int i = 4; i < argc; i++)
		nodes[input.n_nodes++] = (struct sb_plan_node){ argv[i], argv[i], argv[i], 47101 };
	plan = compile(argv[1], &input);
	for (size_t i = 0; i < plan->n_ranks; i++)
		write_rank(argv[2], plan->ranks[i]);
	sparkbus__launch_plan__free_unpacked(plan, NULL);
	return 0;
}
