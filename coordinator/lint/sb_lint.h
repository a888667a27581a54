/* sb_lint.h - what is known to go wrong, as data: rules in YAML over facts of a launch. Pure.
 *
 *   workload, command, nodes --sb_facts_gather--> facts --sb_lint(rules)--> findings
 *
 * A fact has one of three states: set (to one or more texts), absent, or unknown. A condition over
 * an unknown fact is itself unknown, and a rule whose condition is unknown is not reported: it is
 * counted as not checkable. So lint never warns of what it cannot see.
 *
 * recipes/rules holds the rules and the tables of images and models; sparkbus-lint(7) is printed
 * from them. */
#ifndef SB_LINT_H
#define SB_LINT_H

#include "sb_recipe.h"
#include "sb_shellwords.h"

/* --- facts --- */

/* Where a fact was written, so that a finding can point at it. Texts are copied. */
struct sb_place {
	unsigned line, col; /* in the recipe; 0 = not there */
	const char *origin; /* "-o", "--tp"; NULL = the recipe */
};

enum sb_fact_kind {
	SB_FACT_TEXT,    /* any texts; compared without case, '*' and '?' match */
	SB_FACT_FLAG,    /* true or false */
	SB_FACT_NUMBER,  /* also "64k" (1000) and "64K" (1024), as engines read them */
	SB_FACT_VERSION, /* numbers with dots between; what follows is not compared */
	SB_FACT_KIND_COUNT_,
};

#define SB_FACT_TEXTS_MAX 64u   /* texts of one fact */
#define SB_FACT_NAMES_MAX 2000u /* flags and variables */

struct sb_facts;
int sb_facts_new(struct sb_facts **ret, struct sb_err *err);
void sb_facts_free(struct sb_facts *facts);
SB_DEFINE_CLEANUP(sb_facts_free, struct sb_facts *)

/** Add a text to the fact @name: one of the table, "flag.NAME" (without dashes in front),
 * "flag.NAME.MEMBER" (of a JSON value) or "env.NAME". @place may be NULL.
 * Return: 0; -SB_E_INVALID for a name that no table has; -SB_E_RANGE; -SB_E_NOMEM. */
int sb_facts_set(struct sb_facts *facts, const char *name, const char *text,
		const struct sb_place *place, struct sb_err *err);
/** The fact is set, but its text cannot be known here: "$PORT". */
int sb_facts_opaque(struct sb_facts *facts, const char *name, const struct sb_place *place,
		struct sb_err *err);
/** It is known that there is no such thing. A fact that is set stays. */
int sb_facts_absent(struct sb_facts *facts, const char *name, struct sb_err *err);
/** All flags (@what "flag") or variables ("env") were given: any other is absent. */
void sb_facts_close(struct sb_facts *facts, const char *what);
/** Its first text; NULL when unknown, absent or opaque. Borrowed. */
const char *sb_facts_text(const struct sb_facts *facts, const char *name);
/** The @i-th fact of the table, with what it means; NULL past the end. */
const char *sb_fact_at(size_t i, enum sb_fact_kind *ret_kind, const char **ret_meaning);

/* --- rules --- */

enum sb_severity {
	SB_SEVERITY_NONE, /* says that something is right, and silences other rules */
	SB_SEVERITY_INFO,
	SB_SEVERITY_WARNING,
	SB_SEVERITY_ERROR,
	SB_SEVERITY_COUNT_,
};
const char *sb_severity_name(enum sb_severity severity); /* "info", ... */

/* One rule as people read it. */
struct sb_rule_info {
	const char *id, *group, *message, *fix, *source;
	enum sb_severity severity;
	bool fatal; /* a launch is refused */
};
/* Where two sources disagree, and what this tool makes of it. */
struct sb_policy_info {
	const char *id, *topic, *positions, *policy;
};

struct sb_rules_file {
	const char *name; /* for errors */
	const char *text;
	size_t len;
};

#define SB_RULES_MAX       1000u
#define SB_RULES_DEPTH_MAX 16u /* conditions within conditions */

struct sb_rules;
/** Read @files, in order: a later one may use what an earlier one defines. Strict: an unknown key,
 * fact, rule id or operator is an error that reads "name:line:col: ...". Texts are copied. */
int sb_rules_parse(const struct sb_rules_file *files, size_t n, struct sb_rules **ret,
		struct sb_err *err);
void sb_rules_free(struct sb_rules *rules);
SB_DEFINE_CLEANUP(sb_rules_free, struct sb_rules *)
/** The @i-th rule or policy in the files' order; false past the end. Borrowed from @rules. */
bool sb_rules_at(const struct sb_rules *rules, size_t i, struct sb_rule_info *ret);
bool sb_policies_at(const struct sb_rules *rules, size_t i, struct sb_policy_info *ret);
/** Whether any condition, message or derivation reads the fact @name; for the test that none is
 * idle. */
bool sb_rules_use(const struct sb_rules *rules, const char *name);

/* --- facts of a launch --- */

struct sb_lint_launch {
	const struct sb_workload *workload;
	const char *source;       /* the recipe's text, for places in its command; may be NULL */
	const char *command;      /* the serve command, placeholders filled; NULL = unknown */
	const char *image;        /* "" = unknown */
	const char *engine;       /* "vllm", "sglang", ...; NULL = by the runtime's name */
	unsigned nodes;           /* 0 = unknown */
	const struct sb_env *env; /* the container's, complete */
	size_t n_env;
	const char *const *mounts; /* targets in the container */
	size_t n_mounts;
};
/** Everything that the launch says by itself. Facts of nodes, memory and clients are the caller's
 * to add. */
int sb_facts_gather(struct sb_facts *facts, const struct sb_rules *rules,
		const struct sb_lint_launch *launch, struct sb_err *err);

/* --- findings --- */

struct sb_finding {
	struct sb_rule_info rule;  /* borrowed from the rules; severity is the rule's own */
	enum sb_severity severity; /* as lowered by what is known about this case */
	bool fatal;
	char *message, *fix;   /* the rule's, with the values of facts; fix may be "" */
	char *accepted;        /* why the recipe's author lives with it; NULL = nobody does */
	struct sb_place place; /* origin is owned */
};
struct sb_findings {
	struct sb_finding *items; /* by line, then in the rules' order */
	size_t n;
	size_t unknown; /* rules that could not be checked */
};
void sb_findings_done(struct sb_findings *findings);

/** Derive what the tables say of @facts (once more changes nothing), then evaluate every rule. */
int sb_lint(const struct sb_rules *rules, struct sb_facts *facts, struct sb_findings *ret,
		struct sb_err *err);

#endif
