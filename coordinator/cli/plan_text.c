/* A plan for people. Every text of the plan goes through the mask: a token stands not only in its
 * variable but also on the command line that was made from it. */
#include <string.h>

#include "launch.h"

static const char *masked(const struct launch *l, const char *text, struct sb_strbuf *buf)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf plain = SB_STRBUF_INIT;

	sb_strbuf_reset(buf);
	if (sb_mask_text(&l->mask, text, &plain) < 0 ||
			sb_render_clean(buf, sb_strbuf_str(&plain), plain.len) < 0)
		return SB_RENDER_HIDDEN;
	return sb_strbuf_str(buf);
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
	if (plan->n_ranks > 1)
		fprintf(out, "Mode:      cluster (%zu nodes)\n", plan->n_ranks);
	else
		fprintf(out, "Mode:      solo\n");
	fputc('\n', out);
	print_hosts(l, out);
	fprintf(out, "Job:       %s\n\n", plan->job);
	fprintf(out, "Serve command:\n  %s\n\n", masked(l, plan->serve_command, &text));
}

static void print_argv(const struct launch *l, const Sparkbus__RankSpec *rank, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	for (size_t i = 0; i < rank->n_argv; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf word = SB_STRBUF_INIT;

		/* Masked before it is quoted: quoting would hide the value from the mask. */
		sb_mask_text(&l->mask, rank->argv[i], &word);
		if (i)
			sb_strbuf_addc(&line, ' ');
		sb_render_shell(&line, sb_strbuf_str(&word));
	}
	/* Line ends inside a quoted script are part of it. */
	fprintf(out, "  command:   %s\n", sb_strbuf_str(&line));
}

static void print_env(const struct launch *l, const Sparkbus__RankSpec *rank, FILE *out)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	for (size_t i = 0; i < rank->n_env; i++) {
		const Sparkbus__EnvVar *var = rank->env[i];

		fprintf(out, "  %s %s=", i ? "          " : "env:      ", var->name);
		fprintf(out, "%s\n", var->secret ? SB_RENDER_HIDDEN : masked(l, var->value, &text));
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

static void print_ports(const Sparkbus__RankSpec *rank, FILE *out)
{
	if (!rank->n_ports)
		return;
	fprintf(out, "  ports:    ");
	for (size_t i = 0; i < rank->n_ports; i++)
		fprintf(out, " %u", rank->ports[i]);
	fputc('\n', out);
}

static void print_options(const Sparkbus__RankSpec *rank, FILE *out)
{
	const Sparkbus__ContainerOptions *o = rank->options;
	char bytes[32];

	if (!o)
		return;
	fprintf(out, "  container: %s%s%s", o->privileged ? "privileged " : "",
			*o->gpus ? "gpus=" : "", o->gpus);
	fprintf(out, "%s%s%s%s%s%s", *o->network ? " network=" : "", o->network,
			*o->ipc ? " ipc=" : "", o->ipc, *o->user ? " user=" : "", o->user);
	if (o->shm_bytes)
		fprintf(out, " shm=%s", sb_render_bytes(o->shm_bytes, bytes, sizeof(bytes)));
	if (o->memory_bytes)
		fprintf(out, " memory=%s", sb_render_bytes(o->memory_bytes, bytes, sizeof(bytes)));
	for (size_t i = 0; i < o->n_cap_add; i++)
		fprintf(out, " cap=%s", o->cap_add[i]);
	for (size_t i = 0; i < o->n_devices; i++)
		fprintf(out, " device=%s%s", o->devices[i]->path,
				o->devices[i]->optional ? "?" : "");
	fputc('\n', out);
}

void plan_print_ranks(const struct launch *l, FILE *out)
{
	for (size_t i = 0; i < l->plan->n_ranks; i++) {
		const Sparkbus__RankSpec *rank = l->plan->ranks[i];

		fprintf(out, "Rank %u on %s (%s), container %s, stage %u\n", rank->rank, rank->node,
				rank->address, rank->container_name, rank->stage);
		print_argv(l, rank, out);
		print_env(l, rank, out);
		print_mounts(l, rank, out);
		print_ports(rank, out);
		print_options(rank, out);
		fputc('\n', out);
	}
}
