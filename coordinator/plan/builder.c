/* builder.c - images that a recipe's builder makes.
 *
 * sparkbus builds no images: a build takes half an hour, wants a repository and a compiler's worth
 * of disk, and what it makes differs from day to day. A published image is pulled. One that is on
 * no registry must be on the nodes; the plan carries the exact command that makes it there, for the
 * operator to run. */
#include <string.h>

#include "internal.h"

#define EUGR_REPOSITORY "https://github.com/eugr/spark-vllm-docker.git"
#define EUGR_FOLDER     "spark-vllm-docker"

/* A word of a shell; most need no quotes and are better to read without. */
static void add_word(struct sb_strbuf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "@%+=:,./-_";
	size_t len = strlen(text);

	sb_strbuf_addc(out, ' ');
	if (len && strspn(text, plain) == len) {
		sb_strbuf_adds(out, text);
		return;
	}
	sb_strbuf_addc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			sb_strbuf_adds(out, "'\\''");
		else
			sb_strbuf_addc(out, *text);
	}
	sb_strbuf_addc(out, '\'');
}

static void add_eugr(const struct sb_workload *w, const char *image, struct sb_strbuf *out)
{
	const struct sb_yaml_node *args = sb_workload_key(w, "build_args");
	const char *branch =
			sb_yaml_str(sb_yaml_get(sb_workload_key(w, "builder_config"), "branch"));
	bool cleanup = false;

	sb_strbuf_adds(out, "git clone");
	if (*branch) {
		sb_strbuf_adds(out, " -b");
		add_word(out, branch);
	}
	sb_strbuf_adds(out, " " EUGR_REPOSITORY " && cd " EUGR_FOLDER " && ./build-and-copy.sh -t");
	add_word(out, image);
	for (size_t i = 0; i < sb_yaml_size(args); i++) {
		const char *arg = sb_yaml_str(sb_yaml_at(args, i));

		cleanup |= !strcmp(arg, "--cleanup");
		add_word(out, arg);
	}
	if (!cleanup)
		add_word(out, "--cleanup");
}

/* A name without a slash is of no registry but Docker's own library, which has no engines. */
static bool is_local(const char *image)
{
	return !strchr(image, '/');
}

int sb_plan_builder(const struct sb_workload *w, const char *image, struct sb_diags *diags,
		Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf command = SB_STRBUF_INIT;
	const struct sb_yaml_node *place = sb_workload_key(w, "builder");
	const char *builder = sb_workload_builder(w);

	if (!*builder && !strcmp(sb_workload_runtime(w), "eugr-vllm"))
		builder = "eugr"; /* the runtime brings its builder along */
	if (!*builder || !strcmp(builder, "docker-pull"))
		return 0;
	if (!place)
		place = sb_workload_key(w, "container");
	if (strcmp(builder, "eugr") != 0) {
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(place), sb_yaml_col(place),
				"Builder '%s' not found, skipping", builder);
		return 0;
	}
	if (!is_local(image)) {
		sb_diag_add(diags, SB_DIAG_NOTE, sb_yaml_line(place), sb_yaml_col(place),
				"builder '%s' is not needed: the published image is used as it is",
				builder);
		return 0;
	}
	add_eugr(w, image, &command);
	if (command.failed || sb_plan_text(&plan->build_command, sb_strbuf_str(&command)) < 0)
		return sb_err_nomem(err);
	return 0;
}
