/* cli.h - what the commands share: the command table's row, the context, and the steps that
 * several commands take (which nodes, which job, one question to many nodes). */
#ifndef SB_CLI_CLI_H
#define SB_CLI_CLI_H

#include <stdio.h>

#include "options.h"
#include "recipes.h"
#include "sb_client.h"
#include "sb_inventory.h"
#include "sb_render.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNKNOWN = 3, EXIT_INTERRUPT = 130 };

/* --- commands (commands.c, main.c, help.c) --- */

struct cli;

/* One invocation: the command's own options, filled, and its other words. */
struct call {
	const struct command *command;
	void *opts;
	const char **args;
	size_t n_args;
};

struct command {
	const char *name;     /* "run", "node add" */
	const char *synopsis; /* "RECIPE"; NULL = a group of commands */
	const char *summary;  /* one line */
	const char *details;  /* paragraphs, or NULL */
	const struct opt *options;
	size_t opts_size;
	size_t min_args, max_args;
	bool hidden;
	int (*run)(struct cli *cli, const struct call *call); /* returns the exit status */
};

extern const struct command commands[];
extern const size_t n_commands;
extern const struct opt global_options[];

struct global_opts {
	int verbose;
	bool quiet, help, version;
};

struct cli {
	struct global_opts global;
	struct sb_inventory *inventory; /* opened when first needed */
	struct sb_client *client;       /* made when first needed */
	const char *operator_name;      /* borrowed from the inventory */
	struct sb_inv_node *known;      /* every registered node, read once */
	size_t n_known;
	bool have_known;
};

/** The row called @name, or NULL. */
const struct command *command_find(const char *name);
/** Rows under the group @name ("" = top level) in table order; false ends. */
bool command_is_in(const struct command *command, const char *group);

void help_command(FILE *out, const struct command *command);
void help_group(FILE *out, const char *group);
void help_markdown(FILE *out);
void help_man(FILE *out);

/* --- messages (cli.c) --- */

/** "Error: ..." and "Hint: ..." on stderr. Return: the exit status for its code. */
int cli_fail(struct cli *cli, const struct sb_err *err);
/** Usage error of @call on stderr. Return: EXIT_USAGE. */
int cli_usage(const struct call *call, const char *fmt, ...) SB_PRINTF(2, 3);
void cli_warn(struct cli *cli, const char *fmt, ...) SB_PRINTF(2, 3);
void cli_hint(const char *fmt, ...) SB_PRINTF(1, 2);
/** A line of progress on stderr; dropped by -q. */
void cli_note(struct cli *cli, const char *fmt, ...) SB_PRINTF(2, 3);
/** Print a document and drop it. Return: the exit status, @status when it could be written. */
int cli_json(struct cli *cli, json_t *json, int status);
/** Ask a yes/no question on the terminal. -SB_E_INVALID when there is none. */
int cli_confirm(const char *question, bool *ret_yes, struct sb_err *err);
/** The whole of a file, or of stdin for "-", at most @max bytes. */
int cli_read(const char *path, size_t max, struct sb_strbuf *ret, struct sb_err *err);

int cli_inventory(struct cli *cli, struct sb_inventory **ret, struct sb_err *err);
int cli_client(struct cli *cli, struct sb_client **ret, struct sb_err *err);
/** Another client with its own connections, for a second thread: cli_client_free(). */
int cli_client_new(struct cli *cli, struct sb_client **ret, struct sb_err *err);
void cli_client_free(struct sb_client *client);
/** Drop the client, so that the next call makes one that no Ctrl-C has reached. */
void cli_client_renew(struct cli *cli);
/** Every registered node, by name; borrowed from @cli. */
int cli_known(struct cli *cli, const struct sb_inv_node **ret, size_t *ret_n, struct sb_err *err);
void cli_done(struct cli *cli);

/* --- Ctrl-C (interrupt.c) --- */

/** From now on Ctrl-C and SIGTERM only set a flag and break off calls of watched clients. */
void interrupt_catch(void);
bool interrupted(void);
void interrupt_reset(void);
/** At most a few clients; false when there is no room. */
bool interrupt_watch(struct sb_client *client);
void interrupt_unwatch(struct sb_client *client);
/** Wait @ms or until interrupted. */
void interrupt_wait(unsigned ms);

/* --- nodes (hosts.c) --- */

struct host_opts {
	const char *hosts, *hosts_file, *cluster;
};
extern const struct opt host_options[];

struct cli_node {
	char *host; /* as the operator wrote it */
	struct sb_inv_node node;
};
struct cli_nodes {
	struct cli_node *items; /* no node twice */
	size_t n;
	char *label;                   /* where they come from, for people */
	struct sb_inv_cluster cluster; /* name NULL = none */
};
#define CLI_NODES_INIT                                                                             \
	{                                                                                          \
		0                                                                                  \
	}
void cli_nodes_done(struct cli_nodes *nodes);

enum hosts_need {
	HOSTS_MUST,   /* no hosts is an error, and so is a revoked node */
	HOSTS_OR_ALL, /* no hosts means every registered node; revoked ones are left out */
};
/** --hosts, else --hosts-file, else --cluster, else the default cluster. */
int hosts_resolve(struct cli *cli, const struct host_opts *opts, enum hosts_need need,
		struct cli_nodes *ret, struct sb_err *err);
/** The names of --hosts and --hosts-file alone; *@ret_n is 0 when neither is given. */
int hosts_given(const struct host_opts *opts, char ***ret, size_t *ret_n, struct sb_err *err);
/** The registered node called @host, or at that address. The error names the known ones. */
int hosts_find(struct cli *cli, const char *host, struct sb_inv_node *ret, struct sb_err *err);
/** Append a registered node; one that is there already is not added again. */
int hosts_add(struct cli *cli, struct cli_nodes *nodes, const char *host, struct sb_err *err);
const struct cli_node *hosts_by_name(const struct cli_nodes *nodes, const char *name);

/* --- one question to many nodes (ask.c) --- */

#define ASK_DEADLINE_MS 10000u

struct ask {
	const struct cli_node *node; /* borrowed */
	sb_request request;
	uint8_t id[SB_WIRE_ID_BYTES];
	struct sb_answer answer; /* after asks_send(): a reply of the right kind, or err */
};
/** @body is the oneof member @tag of the request; borrowed. */
int ask_init(struct ask *ask, const struct cli_node *node, unsigned tag, void *body,
		struct sb_err *err);
/** Send all at once. Return: how many have no good answer; each says so in its answer.err. */
size_t asks_send(struct cli *cli, struct sb_client *client, struct ask *asks, size_t n,
		unsigned deadline_ms);
void asks_done(struct ask *asks, size_t n);
/** One question to one node. @ret is filled in any case: sb_answer_done(). */
int ask_one(struct cli *cli, const struct cli_node *node, unsigned tag, void *body,
		unsigned deadline_ms, struct sb_answer *ret, struct sb_err *err);
/** Why @answer has no reply, without the node's name in front; for places that show the name. */
const char *ask_reason(const struct cli_node *node, const struct sb_answer *answer);
/** Whether the node may have done what it was asked although we do not know. */
bool ask_unknown(const struct sb_answer *answer);

/* --- jobs over nodes (jobs.c) --- */

struct fleet {
	const struct cli_nodes *nodes; /* borrowed */
	struct ask *asks;              /* one GetNode per node */
	size_t silent;                 /* nodes without an answer */
	Sparkbus__GetNodeRequest body;
};
int fleet_ask(struct cli *cli, const struct cli_nodes *nodes, bool running_only, struct fleet *ret,
		struct sb_err *err);
int fleet_ask_within(struct cli *cli, const struct cli_nodes *nodes, bool running_only,
		unsigned deadline_ms, struct fleet *ret, struct sb_err *err);
void fleet_done(struct fleet *fleet);
/** What node @i said, or NULL. */
const Sparkbus__NodeState *fleet_state(const struct fleet *fleet, size_t i);

struct job_rank {
	uint32_t rank;
	const char *node;                   /* "" = not known */
	const Sparkbus__RankStatus *status; /* NULL = not known */
};
struct job_view {
	const Sparkbus__JobStatus *status; /* the leader's, else the newest that a rank gave */
	struct job_rank *ranks;
	size_t n_ranks;
	bool leader_silent; /* nobody with the last word answered */
	bool leader_ended;  /* the leader answered, and does not have the job among the running */
};
struct job_list {
	struct job_view *items;
	size_t n;
};
/** Every job that @fleet knows, each once, running ones first. Borrows from @fleet. */
int fleet_jobs(const struct fleet *fleet, struct job_list *ret, struct sb_err *err);
void job_list_done(struct job_list *list);

struct job_filter {
	const char *target; /* job id, or recipe name; NULL = any */
	struct opt_int tp, port;
	const char *served_model_name;
};
bool job_matches(const Sparkbus__JobStatus *status, const struct job_filter *filter);
/** "sparkbus_<12 hex>", "sparkrun_<12 hex>" or 8 to 12 hex digits. */
bool job_target_is_id(const char *target);
bool job_is_over(Sparkbus__JobState state);
/** Ask @nodes and keep what @filter matches. */
int jobs_find(const struct fleet *fleet, const struct job_filter *filter, struct job_list *ret,
		struct sb_err *err);
/** The 12 hex digits of a job id; the whole id when it is of another form. */
const char *job_short(const char *job);
/** "@official/x  (tp=2)  [d3d9bb4ada9d]" */
void job_label(const Sparkbus__JobStatus *status, struct sb_strbuf *out);
/** List candidates on stderr when a target means more than one. */
void jobs_print_choice(const struct job_list *list);
/** "s" unless @n is 1. */
const char *plural(size_t n);
/** One name, lower case: "ready", "running", "healthy". */
const char *job_state_text(Sparkbus__JobState state);
const char *rank_state_text(Sparkbus__RankState state);
const char *health_text(Sparkbus__Health health);
const char *outcome_text(Sparkbus__Outcome outcome);
/** Names of the fleet's silent nodes with their reasons, on @out. */
void fleet_print_silent(const struct fleet *fleet, FILE *out);
json_t *fleet_silent_json(const struct fleet *fleet);

/* --- logs (follow.c) --- */

struct log_source {
	const struct cli_node *node;
	uint32_t rank;
};
struct follow_opts {
	const char *job;
	const struct log_source *sources;
	size_t n_sources;
	uint32_t tail;
	bool follow;
	bool prefix;                   /* "rank 1 | " before each line */
	const struct cli_node *leader; /* says whether the job is over */
};
/** Append a line of a log for a terminal: what it would show last of a progress bar, no control
 * characters, and colours only with @colors. */
void log_text(struct sb_strbuf *line, const char *text, size_t len, bool colors);
enum follow_end { FOLLOW_OVER, FOLLOW_INTERRUPTED };
/** Print the logs to @out, by time when there are several. An agent that does not answer is asked
 * again. @ret_status (may be NULL) gets the job's last status: free_unpacked, or NULL. */
int follow_logs(struct cli *cli, const struct follow_opts *opts, FILE *out, enum follow_end *ret,
		Sparkbus__JobStatus **ret_status, struct sb_err *err);

/* --- stopping (stop.c) --- */

struct stop_result {
	Sparkbus__Outcome outcome; /* the worst: failed, then unknown, then done */
	json_t *json;              /* per node: outcome, evidence, error; NULL unless wanted */
};
/** Tell every node in @names (@n of them) to stop its rank of @job, and print what each saw. */
int stop_job(struct cli *cli, const char *job, const char *const *names, size_t n,
		struct opt_int grace, bool want_json, struct stop_result *ret, struct sb_err *err);
int outcome_exit(Sparkbus__Outcome outcome);
Sparkbus__Outcome outcome_worse(Sparkbus__Outcome a, Sparkbus__Outcome b);

/* --- image registries (registry_auth.c) --- */

/** X-Registry-Auth (base64url JSON) for @image from the text of a Docker config.json; *ret is ""
 * when it has none. -SB_E_UNSUPPORTED when a credential helper keeps it. */
int registry_auth(const char *config_json, const char *image, char **ret, struct sb_err *err);

#endif
