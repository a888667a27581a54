/* export compose, export systemd: the ranks of a launch as files for other tools. */
#include <string.h>

#include "commands.h"
#include "launch.h"
#include "sb_export.h"
#include "sb_fs.h"

#define EXPORT_OPT(member) offsetof(struct export_opts, member)
#define ENV_FOLDER         "/etc/sparkbus" /* of units' secrets, on the node */

static const struct opt file_options[] = {
	{ OPT_INT, 0, "rank", NULL, "N", "this rank alone", EXPORT_OPT(rank), 0, 255 },
	{ OPT_TEXT, 0, "user", NULL, "UID:GID",
			"owner of the nodes' model cache, as whom containers run (yours here)",
			EXPORT_OPT(user) },
	{ OPT_TEXT, 0, "hf-cache", NULL, "DIR", "the nodes' model cache (as here)",
			EXPORT_OPT(hf_cache) },
	{ OPT_TEXT, 0, "save", NULL, "DIR", "write the files into DIR instead of printing them",
			EXPORT_OPT(save) },
	{ OPT_FLAG, 0, "force", NULL, NULL, "replace files", EXPORT_OPT(force) },
	{ OPT_END },
};

const struct opt export_plan_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = EXPORT_OPT(run.hosts), .group = host_options },
	{ OPT_GROUP, .name = "Recipe overrides", .at = EXPORT_OPT(run),
			.group = run_override_options },
	{ OPT_GROUP, .name = "Containers", .at = EXPORT_OPT(run), .group = run_container_options },
	{ OPT_GROUP, .name = "Ranks", .at = EXPORT_OPT(run), .group = run_rank_options },
	{ OPT_GROUP, .name = "Files", .at = 0, .group = file_options },
	{ OPT_INT, 0, "nodes", NULL, "N", "as if there were N nodes", EXPORT_OPT(nodes), 1, 256 },
	{ OPT_END },
};

/* One kind of file. */
struct format {
	int (*make)(const Sparkbus__LaunchPlan *plan, size_t rank,
			const struct sb_export_place *place, struct sb_strbuf *out,
			struct sb_strbuf *secrets, struct sb_err *err);
	/* Names in --save's folder: the file of a rank, of a launch of several; the secrets'. */
	void (*name)(const struct launch *l, size_t rank, struct sb_strbuf *out);
	void (*env_name)(const struct launch *l, struct sb_strbuf *out);
	const char *between; /* two of them that are printed */
	const char *how_to;  /* with the secrets' file */
};

static void compose_name(const struct launch *l, size_t rank, struct sb_strbuf *out)
{
	if (l->plan->n_ranks == 1)
		sb_strbuf_adds(out, "compose.yaml");
	else
		sb_strbuf_addf(out, "compose-%s.yaml", l->plan->ranks[rank]->node);
}

static void compose_env_name(const struct launch *l, struct sb_strbuf *out)
{
	sb_strbuf_adds(out, ".env");
}

static void systemd_name(const struct launch *l, size_t rank, struct sb_strbuf *out)
{
	sb_strbuf_addf(out, "%s-rank%zu.service", l->plan->job, rank);
}

static void systemd_env_name(const struct launch *l, struct sb_strbuf *out)
{
	sb_strbuf_addf(out, "%s.env", l->plan->job);
}

static const struct format compose = { sb_export_compose, compose_name, compose_env_name, "---\n",
	"beside the compose file" };
static const struct format systemd = { sb_export_systemd, systemd_name, systemd_env_name, "\n",
	"in " ENV_FOLDER " on the node" };

/* --- what the nodes are --- */

/* The environment of the links, when the nodes are real and answer. */
static int add_fabric(struct launch *l, struct sb_err *err)
{
	struct sb_diags diags = SB_DIAGS_INIT;
	struct fleet fleet = { 0 };
	int rc = fleet_ask(l->cli, &l->nodes, true, &fleet, err);

	if (rc == 0 && fleet.silent) {
		cli_warn(l->cli,
				"%zu of %zu nodes did not answer: the environment of their links "
				"is not in the files",
				fleet.silent, l->nodes.n);
		fleet_print_silent(&fleet, stderr);
	} else if (rc == 0) {
		rc = run_fabric(l, &fleet, &diags, NULL, err);
	}
	launch_print_diags(l, &diags);
	sb_diags_done(&diags);
	fleet_done(&fleet);
	return rc;
}

static void default_place(struct export_opts *opts, char user[32], struct sb_strbuf *cache)
{
	const char *hf_home = getenv("HF_HOME"), *home = getenv("HOME");

	if (!opts->user) {
		*user = '\0';
		if (getuid() != 0)
			snprintf(user, 32, "%u:%u", (unsigned)getuid(), (unsigned)getgid());
		opts->user = user;
	}
	if (opts->hf_cache)
		return;
	if (!sb_empty(hf_home))
		sb_strbuf_adds(cache, hf_home);
	else
		sb_strbuf_addf(cache, "%s/.cache/huggingface", home ? home : "/root");
	opts->hf_cache = sb_strbuf_str(cache);
}

static int check_place(const struct export_opts *opts, struct sb_err *err)
{
	size_t digits = strspn(opts->user, "0123456789");
	const char *group = opts->user + digits + (opts->user[digits] == ':');

	if (*opts->user &&
			(!digits || !*group || group[strspn(group, "0123456789")] ||
					opts->user[digits] != ':'))
		return sb_err_set(err, SB_E_INVALID, "--user %.40s: expected numbers, UID:GID",
				opts->user);
	if (opts->hf_cache[0] != '/')
		return sb_err_set(err, SB_E_INVALID, "--hf-cache %.80s: expected an absolute path",
				opts->hf_cache);
	return 0;
}

/* --- files --- */

static int save_one(struct launch *l, const struct export_opts *opts, const char *name,
		const struct sb_strbuf *text, unsigned mode, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(opts->save, name);

	return path ? export_save(l->cli, path, opts->force, text, mode, err) : sb_err_nomem(err);
}

static int put(struct launch *l, const struct format *format, const struct export_opts *opts,
		size_t rank, const struct sb_strbuf *text, bool first, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf name = SB_STRBUF_INIT;

	if (!opts->save) {
		printf("%s%s", first ? "" : format->between, sb_strbuf_str(text));
		return 0;
	}
	format->name(l, rank, &name);
	return save_one(l, opts, sb_strbuf_str(&name), text, 0644, err);
}

/* They are the same for every rank. Printed they are named only. */
static int put_secrets(struct launch *l, const struct format *format,
		const struct export_opts *opts, const struct sb_strbuf *secrets, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done)
	struct sb_strbuf name = SB_STRBUF_INIT, names = SB_STRBUF_INIT;

	if (!secrets->len)
		return 0;
	format->env_name(l, &name);
	if (opts->save) {
		cli_note(l->cli, "Secrets are in %s, which belongs %s.", sb_strbuf_str(&name),
				format->how_to);
		return save_one(l, opts, sb_strbuf_str(&name), secrets, 0600, err);
	}
	for (const char *line = secrets->data; *line; line += strcspn(line, "\n") + 1)
		sb_strbuf_addf(&names, "%s%.*s", names.len ? ", " : "", (int)strcspn(line, "="),
				line);
	cli_note(l->cli,
			"Secrets are not printed: %s. They belong into %s %s; --save DIR writes "
			"it.",
			sb_strbuf_str(&names), sb_strbuf_str(&name), format->how_to);
	return 0;
}

static int put_ranks(struct launch *l, const struct format *format, const struct export_opts *opts,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf secrets = SB_STRBUF_INIT, env = SB_STRBUF_INIT;
	struct sb_export_place place = { .hf_cache = opts->hf_cache, .user = opts->user };
	size_t from = opts->rank.text ? (size_t)opts->rank.value : 0;
	size_t to = opts->rank.text ? from + 1 : l->plan->n_ranks;
	int rc = 0;

	sb_strbuf_adds(&env, ENV_FOLDER "/");
	format->env_name(l, &env);
	place.env_file = sb_strbuf_str(&env);
	for (size_t i = from; rc == 0 && i < to; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

		sb_strbuf_reset(&secrets);
		rc = format->make(l->plan, i, &place, &text, &secrets, err);
		if (rc == 0)
			rc = put(l, format, opts, i, &text, i == from, err);
	}
	return rc == 0 ? put_secrets(l, format, opts, &secrets, err) : rc;
}

static void warn_left_out(struct launch *l)
{
	if (l->plan->n_post_exec || l->plan->n_post_commands)
		cli_warn(l->cli, "post_exec and post_commands are left out");
	if (*l->plan->build_command)
		cli_warn(l->cli, "image %s is on no registry; to make it: %s", l->plan->image,
				l->plan->build_command);
}

static int export_plan(struct launch *l, const struct format *format, const struct call *call,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf cache = SB_STRBUF_INIT;
	struct export_opts opts = *(const struct export_opts *)call->opts;
	char user[32];
	int rc;

	default_place(&opts, user, &cache);
	rc = check_place(&opts, err);
	if (rc == 0)
		rc = launch_look(l, &opts.run, &opts.nodes, call->args[0], err);
	if (rc < 0)
		return rc;
	if (l->pretended && l->plan->n_ranks > 1)
		cli_warn(l->cli,
				"without --hosts the nodes are called node1, node2 and so on, and "
				"nothing is known of their links");
	else if (l->plan->n_ranks > 1)
		rc = add_fabric(l, err);
	if (rc == 0 && opts.save)
		rc = sb_fs_mkdirs(opts.save, 0755, err);
	warn_left_out(l);
	return rc == 0 ? put_ranks(l, format, &opts, err) : rc;
}

static int run_format(struct cli *cli, const struct call *call, const struct format *format)
{
	const struct export_opts *opts = call->opts;
	struct launch l = { .cli = cli };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	if (opts->force && !opts->save)
		return cli_usage(call, "--force goes with --save");
	rc = export_plan(&l, format, call, &err);
	launch_done(&l);
	return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

int cmd_export_compose(struct cli *cli, const struct call *call)
{
	return run_format(cli, call, &compose);
}

int cmd_export_systemd(struct cli *cli, const struct call *call)
{
	return run_format(cli, call, &systemd);
}
