/* commands.h - the functions and option tables that commands.c puts into the table. */
#ifndef SB_CLI_COMMANDS_H
#define SB_CLI_COMMANDS_H

#include "cli.h"

struct init_opts {
	const char *operator_name;
	struct opt_int days;
};
extern const struct opt init_options[];
int cmd_init(struct cli *cli, const struct call *call);

struct bootstrap_opts {
	const char *packages, *name, *address, *cluster, *ssh_config, *password_file;
	bool apt, dry_run, remove;
};
extern const struct opt bootstrap_options[];
int cmd_bootstrap(struct cli *cli, const struct call *call);

struct node_opts {
	const char *csr, *out;
	struct opt_int control_port, peer_port, days;
	bool json, force;
};
extern const struct opt node_add_options[], node_sign_options[], json_options_node[];
int cmd_node_add(struct cli *cli, const struct call *call);
int cmd_node_sign(struct cli *cli, const struct call *call);
int cmd_node_list(struct cli *cli, const struct call *call);
int cmd_node_show(struct cli *cli, const struct call *call);
int cmd_node_remove(struct cli *cli, const struct call *call);

extern const struct opt node_revoke_options[];
int cmd_node_revoke(struct cli *cli, const struct call *call);
int cmd_node_push_crl(struct cli *cli, const struct call *call);

struct cluster_opts {
	const char *hosts, *hosts_file, *description, *user, *cache_dir;
	const char *transfer_mode, *transfer_interface, *topology;
	struct opt_list add_host, remove_host, executor;
	bool make_default, json, force;
};
extern const struct opt cluster_create_options[], cluster_update_options[];
extern const struct opt cluster_json_options[], cluster_delete_options[];
int cmd_cluster_create(struct cli *cli, const struct call *call);
int cmd_cluster_update(struct cli *cli, const struct call *call);
int cmd_cluster_list(struct cli *cli, const struct call *call);
int cmd_cluster_show(struct cli *cli, const struct call *call);
int cmd_cluster_delete(struct cli *cli, const struct call *call);
int cmd_cluster_set_default(struct cli *cli, const struct call *call);
int cmd_cluster_unset_default(struct cli *cli, const struct call *call);
int cmd_cluster_default(struct cli *cli, const struct call *call);

struct run_opts {
	struct host_opts hosts;
	struct opt_int tp, pp, dp, port, max_model_len, init_port, ray_port, dashboard_port,
			ready_timeout, priority;
	struct opt_float gpu_mem;
	const char *served_model_name, *image, *memory_limit, *restart, *container_name;
	struct opt_list option, label;
	bool rootful, solo, dry_run, no_follow, foreground, ensure, no_rm, dashboard, trust, json;
	bool offline, strict, no_lint;
};
extern const struct opt run_options[];
/* Groups of them that decide what the plan is; for a struct run_opts. */
extern const struct opt run_override_options[], run_container_options[], run_rank_options[];
int cmd_run(struct cli *cli, const struct call *call);

struct explain_opts {
	struct run_opts run;
	struct opt_int nodes;
};
extern const struct opt explain_options[];
int cmd_recipe_explain(struct cli *cli, const struct call *call);

struct export_opts {
	struct run_opts run;
	struct opt_int nodes, rank;
	const char *save, *user, *hf_cache;
	bool force;
};
struct export_put {
	const char *save; /* NULL = print */
	bool force, json;
	unsigned mode; /* of the file */
};
struct export_running_opts {
	struct host_opts hosts;
	const char *save;
	bool json, force;
};
extern const struct opt export_running_options[];
int cmd_export_running(struct cli *cli, const struct call *call);
extern const struct opt export_recipe_options[], export_plan_options[];
int cmd_export_recipe(struct cli *cli, const struct call *call);
int cmd_export_compose(struct cli *cli, const struct call *call);
int cmd_export_systemd(struct cli *cli, const struct call *call);
/** Print a recipe's text, as JSON when asked, or write it to the file @save. */
int export_put(struct cli *cli, const struct export_put *how, const struct sb_strbuf *text,
		struct sb_err *err);
/** Write @text to @path and say so; what is there already is replaced by @force alone. */
int export_save(struct cli *cli, const char *path, bool force, const struct sb_strbuf *text,
		unsigned mode, struct sb_err *err);

struct validate_opts {
	bool strict, json;
};
extern const struct opt validate_options[];
int cmd_recipe_validate(struct cli *cli, const struct call *call);

struct rules_opts {
	bool policies, json, man;
};
extern const struct opt rules_options[];
int cmd_recipe_rules(struct cli *cli, const struct call *call);

struct stop_opts {
	struct host_opts hosts;
	struct job_filter filter;
	struct opt_int grace;
	bool all, dry_run, json;
};
extern const struct opt stop_options[];
int cmd_stop(struct cli *cli, const struct call *call);

struct logs_opts {
	struct host_opts hosts;
	struct job_filter filter;
	const char *rank;
	struct opt_int tail;
	int follow; /* 0 = as long as the job runs, else enum follow_choice */
};
extern const struct opt logs_options[];
int cmd_logs(struct cli *cli, const struct call *call);

struct status_opts {
	struct host_opts hosts;
	bool all, json;
};
extern const struct opt status_options[];
int cmd_status(struct cli *cli, const struct call *call);

struct monitor_opts {
	struct host_opts hosts;
	struct opt_int interval;
	bool once;
};
extern const struct opt monitor_options[];
int cmd_monitor(struct cli *cli, const struct call *call);

struct events_opts {
	struct host_opts hosts;
	bool follow, json;
	struct opt_int tail;
	const char *job, *kind;
};
extern const struct opt events_options[];
int cmd_events(struct cli *cli, const struct call *call);

struct fabric_opts {
	struct host_opts hosts;
	bool json;
};
extern const struct opt fabric_options[];
int cmd_fabric_show(struct cli *cli, const struct call *call);
int cmd_fabric_explain(struct cli *cli, const struct call *call);

struct fabric_check_opts {
	struct host_opts hosts;
	struct opt_int seconds;
	bool no_measure, json;
};
extern const struct opt fabric_check_options[];
int cmd_fabric_check(struct cli *cli, const struct call *call);

struct setup_opts {
	struct host_opts hosts;
	bool dry_run, json;
};
extern const struct opt setup_options[];
int cmd_setup_clear_cache(struct cli *cli, const struct call *call);
int cmd_setup_fix_permissions(struct cli *cli, const struct call *call);

struct fabric_configure_opts {
	struct host_opts hosts;
	const char *network;
	struct opt_int mtu, confirm_seconds;
	struct opt_list address;
	bool revert, dry_run, yes;
};
extern const struct opt fabric_configure_options[];
int cmd_fabric_configure(struct cli *cli, const struct call *call);

struct job_opts {
	struct host_opts hosts;
	bool json;
};
extern const struct opt job_show_options[];
int cmd_job_show(struct cli *cli, const struct call *call);

struct list_opts {
	const char *registry, *family, *runtime;
	struct opt_int nodes;
	bool all, json;
};
extern const struct opt list_options[];
int cmd_list(struct cli *cli, const struct call *call);

struct registry_opts {
	const char *registry;
	bool allow_file, no_update, show_disabled, only_visible, all, force, json;
};
extern const struct opt registry_list_options[], registry_add_options[];
extern const struct opt registry_update_options[], registry_revert_options[];
extern const struct opt registry_profiles_options[], registry_profile_options[];
int cmd_registry_list(struct cli *cli, const struct call *call);
int cmd_registry_add(struct cli *cli, const struct call *call);
int cmd_registry_remove(struct cli *cli, const struct call *call);
/** enable, disable, trust, untrust: by the command's name. */
int cmd_registry_set(struct cli *cli, const struct call *call);
int cmd_registry_update(struct cli *cli, const struct call *call);
int cmd_registry_revert(struct cli *cli, const struct call *call);
int cmd_registry_profiles(struct cli *cli, const struct call *call);
int cmd_registry_profile(struct cli *cli, const struct call *call);

struct vram_opts {
	struct opt_int tp, max_model_len;
	struct opt_float gpu_mem;
	bool no_auto_detect, published, offline, json;
};
extern const struct opt vram_options[];
int cmd_recipe_vram(struct cli *cli, const struct call *call);

struct show_opts {
	const char *save;
	bool force, no_vram, offline, json;
};
extern const struct opt show_options[];
int cmd_show(struct cli *cli, const struct call *call);

int cmd_completion(struct cli *cli, const struct call *call);
/** The @i-th shell that there is a script for; NULL past the end. */
const char *completion_shell(size_t i);
/** What cmd_complete() answers where a file's name is expected. */
#define COMPLETE_FILES ":files"
int cmd_complete(struct cli *cli, const struct call *call);

struct help_opts {
	bool markdown, man;
};
extern const struct opt help_options[];
int cmd_help(struct cli *cli, const struct call *call);
int cmd_version(struct cli *cli, const struct call *call);

#endif
