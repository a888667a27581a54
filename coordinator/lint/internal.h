/* internal.h - facts, conditions and rules inside. */
#ifndef SB_LINT_INTERNAL_H
#define SB_LINT_INTERNAL_H

#include "sb_lint.h"

/* --- facts --- */

enum fact_state { FACT_UNKNOWN, FACT_ABSENT, FACT_SET };
struct fact {
	enum fact_state state;
	bool opaque; /* set, but to what is not known */
	char **texts;
	size_t n;
	struct sb_place place;
};
/* A name as a condition keeps it: found in the table once, when it is read. */
struct fact_name {
	const char *text;
	int id; /* in the table; FACT_OPEN for flags and variables */
	enum sb_fact_kind kind;
};
#define FACT_OPEN (-1)

extern const size_t lint_n_facts; /* ids are below this */
/** False when no table has it. The text is borrowed. */
bool lint_fact_name(const char *text, struct fact_name *ret);
const struct fact *lint_fact(const struct sb_facts *facts, const struct fact_name *name);
/** A number as engines read it; false when @text is none. */
bool lint_number(const char *text, double *ret);
/** Its first text as a number; false when unknown, absent or no number. */
bool lint_fact_number(const struct sb_facts *facts, const char *name, double *ret);
/** Drop a flag or variable, so that it can be set anew. */
void lint_forget(struct sb_facts *facts, const char *name);
/** Where "command:" stands. */
void lint_set_command_place(struct sb_facts *facts, const struct sb_place *place);
struct sb_place lint_command_place(const struct sb_facts *facts);

/* --- conditions (cond.c) --- */

enum tri { NO, MAYBE, YES };

enum cond_op {
	COND_ALL,
	COND_ANY,
	COND_NOT,
	COND_USE,   /* kids[0] is another's: a definition */
	COND_SET,   /* the fact is set (or true) */
	COND_UNSET, /* the fact is absent (or false) */
	COND_IS,    /* one of its texts matches one of ours */
	COND_OTHER, /* it is set and matches none */
	COND_ABOVE,
	COND_BELOW,
	COND_AT_LEAST,
	COND_AT_MOST,
};
struct cond {
	enum cond_op op;
	struct cond **kids;
	size_t n;
	struct fact_name fact;
	const char **texts; /* operands, borrowed from the document */
	size_t n_texts;
	bool has_ref;
	struct fact_name ref; /* operand "$fact" */
	unsigned weight;      /* of a whole condition: its tests, definitions followed */
};
/* Definitions of definitions could ask for more tests than anyone waits for. */
#define COND_TESTS_MAX 1000u
struct definition {
	const char *name;
	struct cond *cond;
};
struct definitions {
	struct definition *items;
	size_t n;
};
/** Read a condition; definitions may be used by "is". */
int cond_parse(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		const struct definitions *definitions, struct cond **ret, struct sb_err *err);
void cond_free(struct cond *cond);
SB_DEFINE_CLEANUP(cond_free, struct cond *)
/** NULL is YES. */
enum tri cond_eval(const struct cond *cond, const struct sb_facts *facts);
/** Call @fn for every fact that the condition asks for, in its order. */
void cond_each(const struct cond *cond, void (*fn)(void *ctx, const struct fact_name *), void *ctx);

/* --- rules (load.c) --- */

struct rule {
	struct sb_rule_info info;
	struct cond *when;
	const struct cond *scope; /* the group's; NULL = everywhere */
	const struct sb_yaml_doc *doc;
	enum sb_severity lower_to;
	struct cond *lower_when;             /* NULL = never */
	struct cond *fatal_when;             /* NULL = whenever the rule is fatal */
	const struct sb_yaml_node *silences; /* list of ids */
};
struct policy {
	struct sb_policy_info info;
	const struct sb_yaml_node *rules; /* list of ids */
	const struct sb_yaml_doc *doc;
	struct cond *when;
	bool drop;
	enum sb_severity cap; /* findings are at most this; SB_SEVERITY_ERROR = no cap */
};
struct derivation {
	struct cond *when;
	const struct sb_yaml_node *set; /* map */
};
struct sb_rules {
	struct sb_yaml_doc **docs;
	size_t n_docs;
	struct rule *rules;
	size_t n;
	struct policy *policies;
	size_t n_policies;
	struct derivation *derivations;
	size_t n_derivations;
	struct definitions definitions;
	struct cond **scopes;
	size_t n_scopes;
	const struct sb_yaml_node **aliases; /* maps: engine -> canonical flag -> other names */
	size_t n_aliases;
};
/** The flag that @name (of @len bytes) is another name of, on @engine; NULL when it is none. */
const char *rules_flag_alias(
		const struct sb_rules *rules, const char *engine, const char *name, size_t len);
/** Which rule has @id; SIZE_MAX when none. */
size_t rules_find(const struct sb_rules *rules, const char *id);

/** Where the flag @word (of @len bytes, as in the command) comes from; @canonical is its name. */
struct sb_place lint_flag_place(const struct sb_lint_launch *launch, const char *word, size_t len,
		const char *canonical);
/** Facts that follow from numbers: memory, tokens asked for. *@changed: one was added. */
int lint_compute(struct sb_facts *facts, bool *changed, struct sb_err *err);

#endif
