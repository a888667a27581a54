/* sb_recipe.h - a published recipe, and what it becomes with the operator's overrides. Pure.
 *
 *   YAML text --sb_recipe_parse--> recipe --sb_workload_resolve--> workload
 *
 * The recipe is the file as its author wrote it, typed and checked. The workload is the recipe
 * with overrides applied, runtime chosen and topology derived; every value knows its origin. */
#ifndef SB_RECIPE_H
#define SB_RECIPE_H

#include "sb_diag.h"
#include "sb_err.h"
#include "sb_strbuf.h"
#include "sb_yaml.h"

struct sb_recipe;

/* Where something of a launch came from. Zero is the runtime. Texts are borrowed and live as long
 * as the workload. */
enum sb_source_kind {
	SB_SOURCE_RUNTIME,  /* a word or a default of the runtime's own */
	SB_SOURCE_RANK,     /* what the runtime adds for one rank: rendezvous, rank number */
	SB_SOURCE_SHELL,    /* the shell that runs a command which is a script */
	SB_SOURCE_COMMAND,  /* text of the recipe's command */
	SB_SOURCE_RECIPE,   /* another key of the recipe */
	SB_SOURCE_OVERRIDE, /* an option of the operator */
	SB_SOURCE_CLUSTER,  /* a setting of the saved cluster */
	SB_SOURCE_BUILT_IN, /* what sparkbus does with every launch */
	SB_SOURCE_COUNT_,
};
struct sb_source {
	enum sb_source_kind kind;
	/* Of the recipe or what overrides it: "defaults" and "port"; "" and "model"; NULL else. */
	const char *section, *name;
	const char *option; /* of an override: "-o", "--tp", ...; NULL else */
	unsigned line, col; /* in the recipe; 0 = not from there */
	/* What an override took the place of in the recipe: text (NULL = nothing) and line. */
	const char *instead;
	unsigned instead_line;
};
/* Bytes of a command carry their source as a mark, see sb_strbuf.h: what sb_value_mark() gives, or
 * one of these. */
#define SB_MARK_RUNTIME 0u
#define SB_MARK_RANK    1u
#define SB_MARK_SHELL   2u

/** Parse @text. @path stands in errors ("path:line:col: ..."); the recipe's name is its stem.
 * Unknown keys, duplicate keys and the like go to @diags with their line and never stop it.
 * @getenv_fn expands $NAME in env values (the caller's environment; NULL = expand nothing). */
int sb_recipe_parse(const char *path, const char *text, size_t len,
		const char *(*getenv_fn)(const char *name), struct sb_diags *diags,
		struct sb_recipe **ret, struct sb_err *err);
void sb_recipe_free(struct sb_recipe *recipe);
SB_DEFINE_CLEANUP(sb_recipe_free, struct sb_recipe *)

const char *sb_recipe_name(const struct sb_recipe *recipe);
const char *sb_recipe_path(const struct sb_recipe *recipe);

/* One override as given: "-o key=value" or a dedicated option turned into one. */
struct sb_override {
	const char *key;
	const char *value; /* text; typed by the -o rules (true/yes, integers, floats, else text) */
	const char *origin; /* "-o", "--tp", ...; for explain */
};

/** Split "key=value". -SB_E_INVALID with the reference's words for a missing '=' or empty key. */
int sb_override_parse(const char *text, const char *origin, struct sb_override *ret, char **ret_key,
		struct sb_err *err);

struct sb_workload;
/** Apply @overrides (later ones win; env.NAME goes to the environment; executor keys go to the
 * executor settings) and @image (NULL = the recipe's), resolve runtime and topology.
 * @cluster_executor: defaults of the cluster, below the recipe's own executor_config (may be
 * empty). Validation issues go to @diags. */
int sb_workload_resolve(const struct sb_recipe *recipe, const struct sb_override *overrides,
		size_t n_overrides, const char *image, const struct sb_override *cluster_executor,
		size_t n_cluster_executor, struct sb_diags *diags, struct sb_workload **ret,
		struct sb_err *err);
void sb_workload_free(struct sb_workload *workload);
SB_DEFINE_CLEANUP(sb_workload_free, struct sb_workload *)

/* --- what a workload is; everything is borrowed and lives as long as the workload --- */

const char *sb_workload_name(const struct sb_workload *w);        /* the recipe's stem */
const char *sb_workload_path(const struct sb_workload *w);        /* as given to the parser */
const char *sb_workload_description(const struct sb_workload *w); /* "" when there is none */
/** What is served: -o model, else defaults.model, else the recipe's model. */
const char *sb_workload_model(const struct sb_workload *w);
/** The recipe's own model, whatever the overrides say: part of the job's identity. */
const char *sb_workload_recipe_model(const struct sb_workload *w);
const char *sb_workload_revision(const struct sb_workload *w); /* "" when there is none */
/** Resolved: "vllm-distributed", ...; may be a name that no runtime has. */
const char *sb_workload_runtime(const struct sb_workload *w);
const char *sb_workload_builder(const struct sb_workload *w); /* "" when there is none */
/** --image, else the recipe's container; "" leaves the choice to the runtime. */
const char *sb_workload_image(const struct sb_workload *w);
/** The recipe's "metadata" map; NULL when there is none. */
const struct sb_yaml_node *sb_workload_metadata(const struct sb_workload *w);

enum sb_mode { SB_MODE_AUTO, SB_MODE_SOLO, SB_MODE_CLUSTER, SB_MODE_COUNT_ };
enum sb_mode sb_workload_mode(const struct sb_workload *w);
unsigned sb_workload_min_nodes(const struct sb_workload *w); /* at least 1 */
unsigned sb_workload_max_nodes(const struct sb_workload *w); /* 0 = no limit */

/* One configuration value as the winning source gives it. */
struct sb_value {
	const char *key;
	enum sb_yaml_type type;
	const char *text;   /* as it is put into a command; "" for null */
	const char *origin; /* "recipe", "-o", "--tp", ... */
	unsigned line, col; /* in the recipe; 0 when the value does not come from there */
	bool truthy;      /* as the recipe format counts: not null, false, 0, "" or an empty list */
	bool in_defaults; /* comes from the recipe's defaults, not from its top level */
	const char *instead; /* what an override took the place of; NULL = nothing */
	unsigned instead_line;
};
/** The mark of bytes that are @value's, one of @w's own. */
uint32_t sb_value_mark(const struct sb_workload *w, const struct sb_value *value);
/** The value whose mark it is; NULL for any other mark. */
const struct sb_value *sb_mark_value(const struct sb_workload *w, uint32_t mark);
/** What a mark on the bytes of a command means. */
struct sb_source sb_mark_source(const struct sb_workload *w, uint32_t mark);
/** Where the image comes from; the runtime's when the recipe names none. */
struct sb_source sb_workload_image_source(const struct sb_workload *w);
/** The value of @key; NULL when it is unset or null. */
const struct sb_value *sb_workload_config(const struct sb_workload *w, const char *key);
/** Its text, or @fallback. */
const char *sb_workload_text(const struct sb_workload *w, const char *key, const char *fallback);
/** A value as a whole number: 2, "2" and 2.0 are 2. *@ret is untouched when @key is unset.
 * Return: 0; -SB_E_INVALID naming the key, its place and what is expected: a number in
 * [@min, @max]. */
int sb_workload_int(const struct sb_workload *w, const char *key, int64_t min, int64_t max,
		int64_t *ret, struct sb_err *err);
/** All values, nulls too: the recipe's order, then what only overrides set. NULL past the end. */
const struct sb_value *sb_workload_config_at(const struct sb_workload *w, size_t i);
/** The recipe format's loose bool: a bool is itself, other falsy values are false; "on", "enabled"
 * and numbers but 0 are true, "off" is false; any other text is true when it has a '1', 't' or 'y'
 * in it. NULL is false. */
bool sb_value_flag(const struct sb_value *value);

/* One variable of the recipe's environment, overrides applied. */
struct sb_env {
	const char *name, *value;
	struct sb_source source;
};
/** The @i-th variable; false past the end. */
bool sb_workload_env_at(const struct sb_workload *w, size_t i, struct sb_env *ret);
/** Its value; NULL when unset. */
const char *sb_workload_env(const struct sb_workload *w, const char *name);

struct sb_ulimit {
	const char *name;
	int64_t soft, hard; /* -1 = unlimited */
};
struct sb_strings {
	char **items;
	size_t n;
};
/* How the container is run. Built-in values are the least that NCCL over RDMA needs. */
struct sb_executor {
	bool auto_remove, privileged;
	bool default_devices; /* @devices is the built-in list: absent ones are left out */
	const char *gpus, *ipc, *network; /* "" = not given to the engine */
	const char *user;                 /* "auto", "uid:gid", a name; "" = the image's */
	const char *restart_policy;       /* "" = none; when set, auto_remove is false */
	const char *entrypoint;           /* NULL = not set or null; "" = cleared */
	uint64_t shm_bytes, memory_bytes; /* 0 = the engine's default; no limit */
	struct sb_strings security_opt, cap_add, devices, labels;
	struct sb_ulimit *ulimits;
	size_t n_ulimits;
};
const struct sb_executor *sb_workload_executor(const struct sb_workload *w);
/** Where the setting @key of the container comes from. */
struct sb_source sb_workload_executor_source(const struct sb_workload *w, const char *key);
/** Executor keys that overrides and clusters may set; NULL past the end. */
const char *sb_executor_key(size_t i);
/** "32gb", "512m", "100": bytes, powers of 1024, as docker counts them. Return: 0; -SB_E_INVALID.
 */
int sb_size_parse(const char *text, uint64_t *ret_bytes);

/** The command template with placeholders substituted, trailing blanks behind line-continuing
 * backslashes removed; every byte has its mark. *@ret is false and nothing is added when the recipe
 * has no template. Unresolved placeholders go to @diags. Return: 0; -SB_E_INVALID naming a cycle;
 * -SB_E_RANGE. */
int sb_workload_command(const struct sb_workload *w, struct sb_strbuf *out, bool *ret,
		struct sb_diags *diags, struct sb_err *err);
/** Substitute placeholders in any text. What is not a value's has the mark of @out. */
int sb_workload_substitute(const struct sb_workload *w, const char *text, struct sb_strbuf *out,
		struct sb_err *err);

/* What an exported recipe is to hold beyond the workload, and what not. */
struct sb_export_opts {
	bool keep; /* containers stay after their end */
	const char *const
			*labels; /* of the containers, instead of the recipe's when there are any */
	size_t n_labels;
	/* Secrets are left out: variables that @is_secret says so of become references to the
	 * environment ("$NAME"), the engine's API key is not written. */
	bool hide;
	bool (*is_secret)(const char *name);
};
/** Append @w as the text of a recipe that resolves to the same workload without overrides; in the
 * same environment, as references to it stay. Values of the environment that overrides gave and
 * that look like such a reference become one. Return: 0; -SB_E_INVALID for a value that is not
 * UTF-8; -SB_E_NOMEM. */
int sb_workload_export(const struct sb_workload *w, const struct sb_export_opts *opts,
		struct sb_strbuf *out, struct sb_err *err);

/** Fill @err with "path:line:col: <text>", the place being that of the recipe's key @key (dots go
 * down: "executor_config.user"); of its first line when the recipe has no such key.
 * Return: -@code. */
int sb_workload_err(const struct sb_workload *w, const char *key, enum sb_code code,
		struct sb_err *err, const char *fmt, ...) SB_PRINTF(5, 6);
/** The value under a top-level key of the recipe, hooks and mods for instance; NULL when absent.
 * "build_args" and "mods" are also looked for in runtime_config. */
const struct sb_yaml_node *sb_workload_key(const struct sb_workload *w, const char *key);

#endif
