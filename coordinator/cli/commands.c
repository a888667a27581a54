/* The one table of commands: dispatch, help, usage errors and the manual come from it. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"

const struct opt global_options[] = {
	{ OPT_COUNT, 'v', "verbose", NULL, NULL, "say more",
			offsetof(struct global_opts, verbose) },
	{ OPT_FLAG, 'q', "quiet", NULL, NULL, "warnings and errors only",
			offsetof(struct global_opts, quiet) },
	{ OPT_FLAG, 'h', "help", NULL, NULL, "show help", offsetof(struct global_opts, help) },
	{ OPT_FLAG, 0, "version", NULL, NULL, "show the version",
			offsetof(struct global_opts, version) },
	{ OPT_END },
};

static const char run_details[] =
		"RECIPE is a path, the stem of a *.yaml file in this folder, a recipe of a "
		"registry "
		"or a bundled one, @registry/name, or an address (https://...). Every node is "
		"asked what is wrong before anything starts; then "
		"the "
		"agent on the first node leads the launch. Ctrl-C only detaches: before the job is "
		"ready the launch goes on (exit status 3), afterwards the log is left (0).";
static const char stop_details[] =
		"TARGET is a job id (8 to 12 hex digits are enough) or a recipe name. Every node "
		"of the "
		"job tells what it read back after stopping: the container and the ports. Exit "
		"status: 0 "
		"when every node is done, 1 when one failed, 3 when one did not answer.";
static const char logs_details[] =
		"TARGET is a job id or a recipe name. Logs stay readable after the job ended. "
		"Without --follow or --no-follow the log is followed while the job runs.";
static const char monitor_details[] = "A row a node, a row a job, and below them what happens. q "
				      "leaves, ? shows the other "
				      "keys. A node that does not answer is shown as unknown, and "
				      "costs a round 2 s. --once "
				      "prints text without escape codes, 80 columns wide where "
				      "there is no terminal; its exit "
				      "status is 3 when a node did not answer.";
static const char events_details[] =
		"What each agent has kept since it was started, by time, at most 4096 a node: jobs "
		"and ranks, links, the memory guard, the engine, certificates. Without --follow, "
		"exit status 3 when a node did not answer. With it, a node that does not answer is "
		"asked again, and goes on where it was.";
static const char status_details[] =
		"Exit status 3 when a node did not answer: what runs there is unknown.";
static const char node_add_details[] = "With --csr the node's certificate request is signed and "
				       "the bundle for the node is "
				       "written: `sparkbusd enroll --install` reads it there. "
				       "Without it a node is registered "
				       "whose certificate was signed before.";
static const char revoke_details[] =
		"Writes the node revocation list and sends it to every other node. Nodes that were "
		"not "
		"reached still trust the revoked one: repeat with `sparkbus node push-crl`.";

static const char bootstrap_details[] =
		"HOST is what `ssh HOST` understands. On all hosts at once: the package is "
		"installed, the node makes its key, its request is signed here, ports 47100 and "
		"47101 are opened if ufw or firewalld is active, the agent is started, and must "
		"answer over the bus; then the node is added to a cluster. Run it again to repair "
		"or to go on; what is right already stays. A changed host key is an error. "
		"Afterwards nothing needs SSH.";

static const char list_details[] =
		"Shown are the recipes of this folder, of the registries that have been fetched, "
		"and the bundled ones. QUERY is looked for in "
		"name, file, model and description, in any case. The runtime is the one that `run` "
		"would use. A file that is no good recipe is counted; -v says what is wrong.";
static const char vram_details[] =
		"Weights, cache and the engine's own needs of each rank, how each is known, the "
		"longest "
		"context, and whether it fits a Spark: sparkbus-vram(7) says how. What the model's "
		"own files say is read from this machine's Hugging Face cache (HF_HUB_CACHE, "
		"HF_HOME), "
		"else from the hub (HF_ENDPOINT, HF_TOKEN), which is given 4 s; never the weights. "
		"No "
		"node is asked. The JSON has the published tool's fields, and ours below "
		"\"estimate\".";
static const char show_details[] =
		"Shown is what the file says, without overrides and with $NAME left alone. Values "
		"of "
		"variables that look like a secret are hidden. The runtime is the one that `run` "
		"would use.";
static const char completion_details[] =
		"Put it into the shell's start file. bash: `source <(sparkbus completion bash)`; "
		"zsh, "
		"after compinit: `source <(sparkbus completion zsh)`; fish: `sparkbus completion "
		"fish | "
		"source`. Commands, options, recipes, saved clusters and nodes are completed, from "
		"what is on this machine.";

static const char explain_details[] =
		"Options are as for `run`. Shown is what each rank would execute: every word of "
		"its "
		"command, its environment, mounts and container settings, and where they come "
		"from: "
		"a line of the recipe, an option, the saved cluster, or the runtime. No node is "
		"asked; without any, --nodes says how many there would be.";
static const char export_recipe_details[] =
		"Prints a recipe that launches without options what RECIPE launches with these: "
		"they stand in its defaults, env, executor_config and container. Everything else "
		"stays, but for comments and the way it was quoted; $NAME is left alone. With an "
		"API key or a token in it, the saved file is readable by you alone.";
static const char export_running_details[] =
		"TARGET is a job id or a recipe name. Printed is the recipe that its nodes keep: "
		"as "
		"it was launched, with every option of that run in it, but without secrets: "
		"variables that hold one come from the environment ($NAME), and an API key is to "
		"be "
		"given again. Jobs that ended have one as long as a node remembers them.";
static const char export_plan_details[] =
		"One file for each node, which runs the very container that `sparkbus run` would "
		"make there: words, environment, mounts, devices and limits. It does so alone: "
		"nobody fetches models, starts the ranks of several nodes together, or watches "
		"them. Secrets are in a file of their own, readable by you alone. Named nodes are "
		"asked for what their links give the environment. Recipes with hooks or mods that "
		"run in the container cannot be exported; a unit cannot bring files along either.";
static const char validate_details[] =
		"RECIPE is as for `run`, or a folder, which means every *.yaml and *.yml below it. "
		"Findings come with file, line and column, what to do, and where the knowledge is "
		"from. Exit status 1 when one is an error, with --strict when one is a warning. "
		"-q leaves out hints; -v counts the rules that could not be checked. No node is "
		"asked. `man sparkbus-lint` tells more.";
static const char rules_details[] =
		"ID is a rule or the beginning of several: MOE. Messages have the names of facts "
		"where a finding has their values.";

static const char fabric_show_details[] =
		"What the nodes hear on their links decides; where none listens, addresses in one "
		"network do. A ConnectX-7 has two ports (cages) and two paths (PCIe attachments): "
		"each port has two interfaces, and each of them carries half of what it can.";
static const char fabric_explain_details[] =
		"What `run` would give the ranks of a launch on these nodes, the first being the "
		"head: each variable with its value, the reason, and what the value was taken "
		"from. Recipe, runtime and options win over it.";
static const char registry_add_details[] =
		"URL is a git repository: https://..., ssh://... or user@host:path. What its "
		"manifest (.sparkrun/registry.yaml) says is added. Recipes of a new registry are "
		"not trusted: what they do on this machine is shown and asked about first.";
static const char registry_update_details[] =
		"Fetches the newest commit of every enabled registry, or of NAME. Nothing is "
		"fetched when it is here already. A copy that could not be brought up to date "
		"stays in use; the exit status is then 1. git runs without a shell, hooks, "
		"submodules, filters or your git settings.";
static const char registry_trust_details[] =
		"Recipes of a trusted registry may run post_commands on this machine, and copy "
		"files from it, without being asked about. That holds for what its owner adds "
		"later, too.";
static const char registry_list_details[] =
		"COPY is the commit that has been fetched. Until you change it the list is the "
		"published one; nothing of it is fetched before `registry update`, and none is "
		"trusted before `registry trust`.";
static const char registry_profile_details[] =
		"NAME is a path, @registry/name, or the name of one of your own "
		"(benchmarking/NAME.yaml beside registries.yaml) or of a visible registry's.";

static const char fabric_check_details[] =
		"Every node tries every other one, by the management network and by each network "
		"of "
		"the fabric that they share: a connection, and a packet of the whole MTU. Then "
		"each "
		"node sends the next one zeros over four TCP streams, path by path. That loads the "
		"links; --no-measure judges the reports alone. RDMA itself is not timed. Each "
		"finding has its cause and what to do. Exit status: 1 when one is a warning or "
		"worse, 3 when a node did not answer or a path stayed untried.";

static const char fabric_configure_details[] =
		"Every cable gets a /24 for each of its two paths, on a switch every port and path "
		"one; addresses that fit are kept. The nodes set them at once and write them into "
		"a "
		"file of their own for netplan or networkd (setting fabric.backend), which reads "
		"it "
		"at the next boot. Then all are tried; only if every node is heard and reaches the "
		"others are they told to keep it. Otherwise, and whenever nobody tells them in "
		"time, they put back what they had, by themselves, also when this command or the "
		"agent dies. The management interface is not touched, and a node with running jobs "
		"refuses.";

static const char clear_cache_details[] =
		"CUDA on a Spark cannot take memory that the page cache holds. Pages that are not "
		"yet "
		"on disk are written first. Each node says how large the cache was, and is.";
static const char fix_permissions_details[] =
		"Containers that ran as root leave files in the model cache that its user cannot "
		"change. They go to the owner of the cache folder, or, where that is root, of the "
		"nearest folder above it that is not. Links are not followed, and files with a "
		"second "
		"name are left alone.";

/* Of commands that take any number of arguments. */
#define TARGETS_MAX 10000

#define OPTS(table, type) .options = (table), .opts_size = sizeof(struct type)

const struct command commands[] = {
	{ "init", "", "make the authorities and your operator certificate",
			OPTS(init_options, init_opts), .run = cmd_init },
	{ "bootstrap", "[USER@]HOST...", "install the agent on nodes, over SSH", bootstrap_details,
			OPTS(bootstrap_options, bootstrap_opts), .min_args = 1,
			.max_args = TARGETS_MAX, .run = cmd_bootstrap },
	{ "run", "RECIPE", "launch a recipe on one or several nodes", run_details,
			OPTS(run_options, run_opts), .min_args = 1, .max_args = 1, .run = cmd_run },
	{ "stop", "[TARGET]", "stop a job, or all jobs", stop_details,
			OPTS(stop_options, stop_opts), .max_args = 1, .run = cmd_stop },
	{ "logs", "TARGET", "show a job's log", logs_details, OPTS(logs_options, logs_opts),
			.min_args = 1, .max_args = 1, .run = cmd_logs },
	{ "status", "", "show jobs and nodes", status_details, OPTS(status_options, status_opts),
			.run = cmd_status },
	{ "monitor", "", "watch nodes and jobs, full screen", monitor_details,
			OPTS(monitor_options, monitor_opts), .run = cmd_monitor },
	{ "events", "", "show what happened on the nodes", events_details,
			OPTS(events_options, events_opts), .run = cmd_events },
	{ "list", "[QUERY]", "list the recipes", list_details, OPTS(list_options, list_opts),
			.max_args = 1, .run = cmd_list },
	{ "search", "QUERY", "look for a recipe", list_details, OPTS(list_options, list_opts),
			.min_args = 1, .max_args = 1, .run = cmd_list },
	{ "show", "RECIPE", "show a recipe", show_details, OPTS(show_options, show_opts),
			.min_args = 1, .max_args = 1, .run = cmd_show },
	{ "recipe", NULL, "look at recipes" },
	{ "recipe list", "[QUERY]", "list the recipes", list_details, OPTS(list_options, list_opts),
			.max_args = 1, .run = cmd_list },
	{ "recipe search", "QUERY", "look for a recipe", list_details,
			OPTS(list_options, list_opts), .min_args = 1, .max_args = 1,
			.run = cmd_list },
	{ "recipe vram", "RECIPE", "estimate how much memory a recipe takes", vram_details,
			OPTS(vram_options, vram_opts), .min_args = 1, .max_args = 1,
			.run = cmd_recipe_vram },
	{ "recipe show", "RECIPE", "show a recipe", show_details, OPTS(show_options, show_opts),
			.min_args = 1, .max_args = 1, .run = cmd_show },
	{ "recipe explain", "RECIPE", "say where everything in a launch comes from",
			explain_details, OPTS(explain_options, explain_opts), .min_args = 1,
			.max_args = 1, .run = cmd_recipe_explain },
	{ "recipe validate", "RECIPE...", "say what is wrong with recipes", validate_details,
			OPTS(validate_options, validate_opts), .min_args = 1,
			.max_args = TARGETS_MAX, .run = cmd_recipe_validate },
	{ "recipe rules", "[ID...]", "show the rules that recipes are compared with", rules_details,
			OPTS(rules_options, rules_opts), .max_args = TARGETS_MAX,
			.run = cmd_recipe_rules },
	{ "export", NULL, "write a recipe or a launch as files" },
	{ "export recipe", "RECIPE", "write a recipe with its options applied",
			export_recipe_details, OPTS(export_recipe_options, export_opts),
			.min_args = 1, .max_args = 1, .run = cmd_export_recipe },
	{ "export running-recipe", "TARGET", "write the recipe of a job", export_running_details,
			OPTS(export_running_options, export_running_opts), .min_args = 1,
			.max_args = 1, .run = cmd_export_running },
	{ "export compose", "RECIPE", "write a launch as Docker Compose files", export_plan_details,
			OPTS(export_plan_options, export_opts), .min_args = 1, .max_args = 1,
			.run = cmd_export_compose },
	{ "export systemd", "RECIPE", "write a launch as systemd units", export_plan_details,
			OPTS(export_plan_options, export_opts), .min_args = 1, .max_args = 1,
			.run = cmd_export_systemd },
	{ "registry", NULL, "manage whose recipes there are" },
	{ "registry list", "", "list the registries", registry_list_details,
			OPTS(registry_list_options, registry_opts), .run = cmd_registry_list },
	{ "registry add", "URL", "add the registries of a repository", registry_add_details,
			OPTS(registry_add_options, registry_opts), .min_args = 1, .max_args = 1,
			.run = cmd_registry_add },
	{ "registry remove", "NAME", "forget a registry and its copy", .min_args = 1, .max_args = 1,
			.run = cmd_registry_remove },
	{ "registry enable", "NAME", "use a registry", .min_args = 1, .max_args = 1,
			.run = cmd_registry_set },
	{ "registry disable", "NAME", "leave a registry out", .min_args = 1, .max_args = 1,
			.run = cmd_registry_set },
	{ "registry trust", "NAME", "let a registry's recipes act on this machine",
			registry_trust_details, .min_args = 1, .max_args = 1,
			.run = cmd_registry_set },
	{ "registry untrust", "NAME", "ask before a registry's recipes act on this machine",
			registry_trust_details, .min_args = 1, .max_args = 1,
			.run = cmd_registry_set },
	{ "registry update", "[NAME]", "fetch what is new in registries", registry_update_details,
			OPTS(registry_update_options, registry_opts), .max_args = 1,
			.run = cmd_registry_update },
	{ "registry revert-to-defaults", "", "make the list the published one again",
			OPTS(registry_revert_options, registry_opts), .run = cmd_registry_revert },
	{ "registry list-benchmark-profiles", "", "list the benchmark profiles of registries",
			OPTS(registry_profiles_options, registry_opts),
			.run = cmd_registry_profiles },
	{ "registry show-benchmark-profile", "NAME", "show a benchmark profile",
			registry_profile_details, OPTS(registry_profile_options, registry_opts),
			.min_args = 1, .max_args = 1, .run = cmd_registry_profile },
	{ "job", NULL, "look at a single job" },
	{ "job show", "TARGET", "show everything about a job", OPTS(job_show_options, job_opts),
			.min_args = 1, .max_args = 1, .run = cmd_job_show },
	{ "fabric", NULL, "look at the links between nodes" },
	{ "fabric show", "", "show who is cabled to whom", fabric_show_details,
			OPTS(fabric_options, fabric_opts), .run = cmd_fabric_show },
	{ "fabric explain", "", "show each rank's network environment, and why",
			fabric_explain_details, OPTS(fabric_options, fabric_opts),
			.run = cmd_fabric_explain },
	{ "fabric check", "", "measure the links, and say what is wrong", fabric_check_details,
			OPTS(fabric_check_options, fabric_check_opts), .run = cmd_fabric_check },
	{ "fabric configure", "", "give the fabric addresses, with a way back",
			fabric_configure_details,
			OPTS(fabric_configure_options, fabric_configure_opts),
			.run = cmd_fabric_configure },
	{ "setup", NULL, "chores on the nodes" },
	{ "setup clear-cache", "", "drop the nodes' page cache", clear_cache_details,
			OPTS(setup_options, setup_opts), .run = cmd_setup_clear_cache },
	{ "setup fix-permissions", "", "give the model cache's files back to their user",
			fix_permissions_details, OPTS(setup_options, setup_opts),
			.run = cmd_setup_fix_permissions },
	{ "node", NULL, "manage nodes and their certificates" },
	{ "node add", "NAME ADDRESS", "register a node", node_add_details,
			OPTS(node_add_options, node_opts), .min_args = 2, .max_args = 2,
			.run = cmd_node_add },
	{ "node sign", "NAME", "sign a node's certificate request",
			OPTS(node_sign_options, node_opts), .min_args = 1, .max_args = 1,
			.run = cmd_node_sign },
	{ "node list", "", "list the registered nodes", OPTS(json_options_node, node_opts),
			.run = cmd_node_list },
	{ "node show", "NAME", "ask a node about itself", OPTS(json_options_node, node_opts),
			.min_args = 1, .max_args = 1, .run = cmd_node_show },
	{ "node revoke", "NAME", "withdraw a node's certificate", revoke_details,
			OPTS(node_revoke_options, node_opts), .min_args = 1, .max_args = 1,
			.run = cmd_node_revoke },
	{ "node push-crl", "", "send the revocation lists to every node",
			OPTS(json_options_node, node_opts), .run = cmd_node_push_crl },
	{ "node remove", "NAME", "forget a node", .min_args = 1, .max_args = 1,
			.run = cmd_node_remove },
	{ "cluster", NULL, "manage saved clusters" },
	{ "cluster create", "NAME", "save a group of nodes under a name",
			OPTS(cluster_create_options, cluster_opts), .min_args = 1, .max_args = 1,
			.run = cmd_cluster_create },
	{ "cluster update", "NAME", "change a saved cluster",
			OPTS(cluster_update_options, cluster_opts), .min_args = 1, .max_args = 1,
			.run = cmd_cluster_update },
	{ "cluster list", "", "list the saved clusters", OPTS(cluster_json_options, cluster_opts),
			.run = cmd_cluster_list },
	{ "cluster show", "NAME", "show a saved cluster", OPTS(cluster_json_options, cluster_opts),
			.min_args = 1, .max_args = 1, .run = cmd_cluster_show },
	{ "cluster delete", "NAME", "delete a saved cluster",
			OPTS(cluster_delete_options, cluster_opts), .min_args = 1, .max_args = 1,
			.run = cmd_cluster_delete },
	{ "cluster set-default", "NAME", "use a cluster when no hosts are given", .min_args = 1,
			.max_args = 1, .run = cmd_cluster_set_default },
	{ "cluster unset-default", "", "use no cluster by default",
			.run = cmd_cluster_unset_default },
	{ "cluster default", "", "show the default cluster",
			OPTS(cluster_json_options, cluster_opts), .run = cmd_cluster_default },
	{ "cluster status", "", "show jobs and nodes", status_details,
			OPTS(status_options, status_opts), .run = cmd_status },
	{ "completion", "SHELL", "print the completion script for bash, zsh or fish",
			completion_details, .min_args = 1, .max_args = 1, .run = cmd_completion },
	{ "complete", "[WORD...]", "say what may come next on a command line", .max_args = SIZE_MAX,
			.hidden = true, .run = cmd_complete },
	{ "version", "", "show the version", .run = cmd_version },
	{ "help", "[COMMAND...]", "show help", OPTS(help_options, help_opts), .max_args = 2,
			.run = cmd_help },
};
const size_t n_commands = sb_countof(commands);

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

bool command_is_in(const struct command *command, const char *group)
{
	size_t len = strlen(group);

	if (!len)
		return !strchr(command->name, ' ');
	return !strncmp(command->name, group, len) && command->name[len] == ' ';
}
