/* Agents come to their nodes over SSH once. All of that is in a script, which uses the machine's
 * own ssh; this hands over. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "recipes.h"
#include "sb_fs.h"

#define OPT(member) offsetof(struct bootstrap_opts, member)

const struct opt bootstrap_options[] = {
	{ OPT_TEXT, 0, "packages", NULL, "DIR",
			"where sparkbus-agent_*.deb of the nodes' architectures are",
			OPT(packages) },
	{ OPT_FLAG, 0, "apt", NULL, NULL, "take the package from the nodes' apt sources instead",
			OPT(apt) },
	{ OPT_TEXT, 0, "name", NULL, "NAME", "the node's name (its host name); for one host",
			OPT(name) },
	{ OPT_TEXT, 0, "address", NULL, "ADDRESS",
			"where you and the other nodes reach it (where SSH did); for one host",
			OPT(address) },
	{ OPT_TEXT, 0, "cluster", NULL, "NAME",
			"add the nodes to this cluster (the default one, or sparks)",
			OPT(cluster) },
	{ OPT_TEXT, 0, "ssh-config", NULL, "FILE", "ssh's settings instead of ~/.ssh/config",
			OPT(ssh_config) },
	{ OPT_TEXT, 0, "sudo-password-file", NULL, "FILE",
			"where sudo wants a password (else you are asked)", OPT(password_file) },
	{ OPT_FLAG, 0, "dry-run", NULL, NULL, "say what would be done", OPT(dry_run) },
	{ OPT_FLAG, 0, "remove", NULL, NULL, "undo it, by what was noted on the node",
			OPT(remove) },
	{ OPT_END },
};

/* Installed, the script lies beside the recipes; else in the tree of the build. */
static char *script_path(void)
{
	SB_CLEANUP(sb_freep) char *installed = sb_fs_join(recipe_installed_root(), "../bootstrap");

	if (installed && access(installed, X_OK) == 0)
		return sb_steal(installed);
	return sb_fs_join(SB_RECIPES_SOURCE, "../deploy/bootstrap");
}

static void add_options(const struct bootstrap_opts *o, const char **argv, size_t *n)
{
	const struct {
		const char *name, *value;
		bool given;
	} rows[] = {
		{ "--packages", o->packages, o->packages },
		{ "--apt", NULL, o->apt },
		{ "--name", o->name, o->name },
		{ "--address", o->address, o->address },
		{ "--cluster", o->cluster, o->cluster },
		{ "--ssh-config", o->ssh_config, o->ssh_config },
		{ "--sudo-password-file", o->password_file, o->password_file },
		{ "--dry-run", NULL, o->dry_run },
		{ "--remove", NULL, o->remove },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		if (!rows[i].given)
			continue;
		argv[(*n)++] = rows[i].name;
		if (rows[i].value)
			argv[(*n)++] = rows[i].value;
	}
	argv[(*n)++] = "--";
}

int cmd_bootstrap(struct cli *cli, const struct call *call)
{
	const struct bootstrap_opts *opts = call->opts;
	SB_CLEANUP(sb_freep) char *script = script_path();
	SB_CLEANUP(sb_freep)
	const char **argv = calloc(call->n_args + 2 * sb_countof(bootstrap_options), sizeof(*argv));
	struct sb_inventory *inv;
	struct sb_err err = SB_ERR_INIT;
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	size_t n = 0;

	if (call->n_args > 1 && (opts->name || opts->address))
		return cli_usage(call, "--name and --address are for one host");
	if (!script || !argv)
		return cli_fail(cli, (sb_err_nomem(&err), &err));
	if (len < 0)
		return cli_fail(cli, (sb_err_errno(&err, errno, "/proc/self/exe"), &err));
	self[len] = '\0';
	if (cli_inventory(cli, &inv, &err) < 0)
		return cli_fail(cli, &err);
	argv[n++] = script;
	add_options(opts, argv, &n);
	for (size_t i = 0; i < call->n_args; i++)
		argv[n++] = call->args[i];
	/* The script asks this same program, about this same cluster. */
	setenv("SPARKBUS", self, 1);
	setenv("SPARKBUS_HOME", sb_inventory_home(inv), 1);
	fflush(stdout);
	execv(script, (char *const *)argv);
	return cli_fail(cli, (sb_err_errno(&err, errno, "%s", script), &err));
}
