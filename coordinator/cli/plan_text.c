/* A plan for people. Every text of the plan goes through the mask: a token stands not only in its
 * variable but also on the command line that was made from it. */
#include <string.h>

#include "launch.h"

/* Of 80 columns, less the label and the mark at the line's end. */
#define COMMAND_COLS 64

#define FILE_LINES_SHOWN 40

static const char *masked(const struct launch *l, const char *text, struct sb_strbuf *buf)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf plain = SB_STRBUF_INIT;

	sb_strbuf_reset(buf);
	if (sb_mask_text(&l->mask, text, &plain) < 0 ||
			sb_render_clean(buf, sb_strbuf_str(&plain), plain.len) < 0)
		return SB_RENDER_HIDDEN;
	return sb_strbuf_str(buf);
}

/* A text of several lines, each behind @indent; line ends at its end are dropped. */
static void print_block(const struct launch *l, const char *text, const char *indent, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf plain = SB_STRBUF_INIT, line = SB_STRBUF_INIT;
	const char *at;

	/* Masked as a whole: a hidden value may have several lines itself. */
	if (sb_mask_text(&l->mask, text, &plain) < 0) {
		fprintf(out, "%s%s\n", indent, SB_RENDER_HIDDEN);
		return;
	}
	for (at = sb_strbuf_str(&plain); at[strspn(at, "\n")]; at += *at == '\n') {
		size_t len = strcspn(at, "\n");

		sb_strbuf_reset(&line);
		sb_render_clean(&line, at, len);
		fprintf(out, "%s%s\n", indent, sb_strbuf_str(&line));
		at += len;
	}
}

static void print_hosts(const struct launch *l, FILE *out)
{
	size_t n = l->plan->n_ranks;

	fprintf(out, "Hosts:     %s\n", l->nodes.label);
	if (n == 1) {
		fprintf(out, "  Target:  %s (%s)\n", l->plan->ranks[0]->node,
				l->plan->ranks[0]->address);
		return;
	}
	fprintf(out, "  Head:    %s (%s)\n", l->plan->ranks[0]->node, l->plan->ranks[0]->address);
	fprintf(out, "  Workers: ");
	for (size_t i = 1; i < n; i++)
		fprintf(out, "%s%s (%s)", i > 1 ? ", " : "", l->plan->ranks[i]->node,
				l->plan->ranks[i]->address);
	fputc('\n', out);
}

void plan_print_summary(const struct launch *l, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const Sparkbus__LaunchPlan *plan = l->plan;

	fprintf(out, "sparkbus v%s\n\n", SB_VERSION);
	fprintf(out, "Recipe:    %s\n", masked(l, plan->recipe, &text));
	fprintf(out, "Runtime:   %s\n", masked(l, plan->runtime, &text));
	fprintf(out, "Image:     %s\n", masked(l, plan->image, &text));
	fprintf(out, "Model:     %s\n", masked(l, plan->model, &text));
	for (size_t i = 0; i < plan->n_draft_models; i++)
		fprintf(out, "Draft:     %s\n", masked(l, plan->draft_models[i], &text));
	if (plan->n_ranks > 1)
		fprintf(out, "Mode:      cluster (%zu nodes)\n", plan->n_ranks);
	else
		fprintf(out, "Mode:      solo\n");
	fputc('\n', out);
	print_hosts(l, out);
	if (l->memory)
		fprintf(out, "Memory:    %s\n", masked(l, l->memory, &text));
	fprintf(out, "Job:       %s\n\n", plan->job);
	fprintf(out, "Serve command:\n");
	print_block(l, plan->serve_command, "  ", out);
	fputc('\n', out);
}

/* An option begins a new line where the old one would get too wide: what is printed can be read on
 * a terminal and still be pasted into a shell. */
static void print_argv(const struct launch *l, const Sparkbus__RankSpec *rank, FILE *out)
{
	size_t used = 0;

	fprintf(out, "  command:   ");
	for (size_t i = 0; i < rank->n_argv; i++) {
		SB_CLEANUP(sb_strbuf_done)
		struct sb_strbuf word = SB_STRBUF_INIT, plain = SB_STRBUF_INIT;
		bool option = rank->argv[i][0] == '-';
		size_t width;

		/* Masked before it is quoted: quoting would hide the value from the mask. */
		sb_mask_text(&l->mask, rank->argv[i], &plain);
		sb_render_shell(&word, sb_strbuf_str(&plain));
		width = sb_render_width(sb_strbuf_str(&word));
		if (i + 1 < rank->n_argv && rank->argv[i + 1][0] != '-')
			width += 1 + strlen(rank->argv[i + 1]); /* stays with its option */
		if (option && used + width > COMMAND_COLS) {
			fprintf(out, " \\\n               ");
			used = 2;
		} else if (i) {
			fputc(' ', out);
			used++;
		}
		/* Line ends inside a quoted script are part of it. */
		fputs(sb_strbuf_str(&word), out);
		used += sb_render_width(sb_strbuf_str(&word));
	}
	fputc('\n', out);
}

static void print_env(const struct launch *l, const Sparkbus__RankSpec *rank, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	for (size_t i = 0; i < rank->n_env; i++) {
		const Sparkbus__EnvVar *var = rank->env[i];

		fprintf(out, "  %s %s=", i ? "          " : "env:      ", var->name);
		fprintf(out, "%s\n", var->secret ? SB_RENDER_HIDDEN : masked(l, var->value, &text));
		if (*var->computed)
			fprintf(out, "               # instead of %s\n",
					masked(l, var->computed, &text));
		if (*var->reason)
			fprintf(out, "               # %s\n", var->reason);
	}
}

static void print_mounts(const struct launch *l, const Sparkbus__RankSpec *rank, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	for (size_t i = 0; i < rank->n_mounts; i++) {
		const Sparkbus__Mount *mount = rank->mounts[i];

		fprintf(out, "  %s %s",
				i ? "          " : "mounts:   ", masked(l, mount->source, &text));
		fprintf(out, " -> %s%s\n", masked(l, mount->target, &text),
				mount->read_only ? " (read-only)" : "");
	}
}

/* Content of more lines than a person would read is cut; --json has all of it. */
static void print_content(const struct launch *l, const Sparkbus__File *file, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	const char *bytes = (const char *)file->content.data;
	size_t len = file->content.len, lines = 0, at = 0;

	if (!len || file->secret || memchr(bytes, '\0', len))
		return;
	for (; at < len && lines < FILE_LINES_SHOWN; lines++) {
		const char *end = memchr(bytes + at, '\n', len - at);

		at = end ? (size_t)(end - bytes) + 1 : len;
	}
	sb_strbuf_add(&text, bytes, at);
	print_block(l, sb_strbuf_str(&text), "               | ", out);
	if (at < len)
		fprintf(out, "               | ... %zu more bytes\n", len - at);
}

static void print_files(const struct launch *l, Sparkbus__File *const *files, size_t n, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	for (size_t i = 0; i < n; i++) {
		const Sparkbus__File *file = files[i];

		fprintf(out, "  file:      %s (%zu bytes, mode %04o%s)\n",
				masked(l, file->path, &text), file->content.len,
				file->mode ? file->mode : 0644, file->secret ? ", secret" : "");
		print_content(l, file, out);
	}
}

static void print_ports(const Sparkbus__RankSpec *rank, FILE *out)
{
	if (!rank->n_ports)
		return;
	fprintf(out, "  ports:    ");
	for (size_t i = 0; i < rank->n_ports; i++)
		fprintf(out, " %u", rank->ports[i]);
	fputc('\n', out);
}

static void add_option(struct sb_strbuf *line, const char *name, const char *value)
{
	if (!*value)
		return;
	sb_strbuf_addf(line, " %s=", name);
	sb_render_clean(line, value, strlen(value));
}

static void print_options(const Sparkbus__RankSpec *rank, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	const Sparkbus__ContainerOptions *o = rank->options;
	char bytes[32];

	if (!o)
		return;
	if (o->privileged)
		sb_strbuf_adds(&line, " privileged");
	add_option(&line, "gpus", o->gpus);
	add_option(&line, "network", o->network);
	add_option(&line, "ipc", o->ipc);
	add_option(&line, "user", o->user);
	if (o->shm_bytes)
		add_option(&line, "shm", sb_render_bytes(o->shm_bytes, bytes, sizeof(bytes)));
	if (o->memory_bytes)
		add_option(&line, "memory", sb_render_bytes(o->memory_bytes, bytes, sizeof(bytes)));
	for (size_t i = 0; i < o->n_cap_add; i++)
		add_option(&line, "cap", o->cap_add[i]);
	for (size_t i = 0; i < o->n_security_opt; i++)
		add_option(&line, "security", o->security_opt[i]);
	for (size_t i = 0; i < o->n_ulimits; i++)
		sb_strbuf_addf(&line, " ulimit=%s:%lld:%lld", o->ulimits[i]->name,
				(long long)o->ulimits[i]->soft, (long long)o->ulimits[i]->hard);
	for (size_t i = 0; i < o->n_devices; i++)
		sb_strbuf_addf(&line, " device=%s%s", o->devices[i]->path,
				o->devices[i]->optional ? " (where there is one)" : "");
	for (size_t i = 0; i < o->n_labels; i++)
		add_option(&line, "label", o->labels[i]);
	if (o->has_entrypoint_case == SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT)
		sb_strbuf_addf(&line, " entrypoint='%s'", o->entrypoint);
	if (o->image_entrypoint)
		sb_strbuf_adds(&line, " entrypoint=(the image's)");
	if (o->init)
		sb_strbuf_adds(&line, " init");
	add_option(&line, "restart", o->restart_policy);
	if (line.len)
		fprintf(out, "  container:%s\n", sb_strbuf_str(&line));
}

static void print_hooks(const struct launch *l, const char *when, Sparkbus__Hook *const *hooks,
		size_t n, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	for (size_t i = 0; i < n; i++) {
		const Sparkbus__Hook *hook = hooks[i];

		fprintf(out, "  %-10s %s", when, hook->label);
		if (*hook->copy_to) {
			fprintf(out, ", copy to %s\n", masked(l, hook->copy_to, &text));
			continue;
		}
		fputc('\n', out);
		print_block(l, hook->command, "               | ", out);
	}
}

void plan_print_ranks(const struct launch *l, FILE *out)
{
	if (l->plan->n_files || l->plan->n_pre_exec) {
		fprintf(out, "Every rank\n");
		print_hooks(l, "before:", l->plan->pre_exec, l->plan->n_pre_exec, out);
		print_files(l, l->plan->files, l->plan->n_files, out);
		fputc('\n', out);
	}
	for (size_t i = 0; i < l->plan->n_ranks; i++) {
		const Sparkbus__RankSpec *rank = l->plan->ranks[i];

		fprintf(out, "Rank %u on %s (%s), container %s\n", rank->rank, rank->node,
				rank->address, rank->container_name);
		print_argv(l, rank, out);
		if (rank->gguf)
			fprintf(out,
					"  model:     the node's own file of %s, if its cache has "
					"it\n",
					rank->argv[rank->gguf->word]);
		print_env(l, rank, out);
		print_mounts(l, rank, out);
		print_files(l, rank->files, rank->n_files, out);
		print_ports(rank, out);
		print_options(rank, out);
		fputc('\n', out);
	}
	if (l->plan->n_post_exec) {
		fprintf(out, "Once it is ready, in container %s\n",
				l->plan->ranks[0]->container_name);
		print_hooks(l, "after:", l->plan->post_exec, l->plan->n_post_exec, out);
		fputc('\n', out);
	}
}
