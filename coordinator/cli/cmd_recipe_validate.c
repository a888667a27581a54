/* recipe validate: what is wrong with recipes, by the format and by lint. Asks no node. One bad
 * file does not keep the others from being looked at. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "checks.h"
#include "commands.h"
#include "sb_plan.h"

#define NODES_MAX 256u

const struct opt validate_options[] = {
	{ OPT_FLAG, 0, "strict", NULL, NULL, "warnings fail, too",
			offsetof(struct validate_opts, strict) },
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct validate_opts, json) },
	{ OPT_END },
};

struct validation {
	struct cli *cli;
	const struct validate_opts *opts;
	struct sb_rules *rules;
	json_t *all;
	size_t n, n_bad;
};

/* One recipe under the glass. */
struct report {
	const char *path, *name;
	struct sb_diags diags; /* of the format */
	struct sb_findings findings;
	size_t errors, warnings, hints, accepted;
};

static void report_done(struct report *r)
{
	sb_diags_done(&r->diags);
	sb_findings_done(&r->findings);
}

/* --- looking --- */

static const char *from_environment(const char *name)
{
	return getenv(name);
}

static int compile(const struct sb_workload *w, struct sb_diags *diags, Sparkbus__LaunchPlan **ret,
		struct sb_err *err)
{
	struct sb_plan_node nodes[NODES_MAX];
	char names[NODES_MAX][12];
	struct sb_plan_input input = { .nodes = nodes, .n_nodes = sb_plan_nodes_wanted(w) };

	if (input.n_nodes > NODES_MAX)
		input.n_nodes = NODES_MAX;
	for (size_t i = 0; i < input.n_nodes; i++) {
		snprintf(names[i], sizeof(names[i]), "node%zu", i + 1);
		nodes[i] = (struct sb_plan_node){ names[i], names[i], names[i], 47101 };
	}
	return sb_plan_compile(w, &input, diags, ret, err);
}

/* A recipe that this version cannot launch is no bad recipe. */
static void note_failure(struct report *r, const struct sb_err *err)
{
	sb_diag_add(&r->diags, err->code == SB_E_UNSUPPORTED ? SB_DIAG_WARNING : SB_DIAG_ERROR, 0,
			0, "%s", err->text);
}

static int look(struct validation *v, struct report *r, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	SB_CLEANUP(sb_workload_freep) struct sb_workload *w = NULL;
	SB_CLEANUP(sb_facts_freep) struct sb_facts *facts = NULL;
	Sparkbus__LaunchPlan *plan = NULL;
	struct sb_err why = SB_ERR_INIT;
	int rc = recipe_load(r->path, from_environment, &r->diags, &text, &recipe, &why);

	if (rc == 0)
		rc = sb_workload_resolve(recipe, NULL, 0, NULL, NULL, 0, &r->diags, &w, &why);
	if (rc == 0 && compile(w, &r->diags, &plan, &why) < 0)
		note_failure(r, &why);
	if (rc < 0) {
		note_failure(r, &why);
		return 0;
	}
	rc = checks_gather(v->rules, w, sb_strbuf_str(&text), plan, &facts, err);
	if (rc == 0)
		rc = sb_lint(v->rules, facts, &r->findings, err);
	if (plan)
		sparkbus__launch_plan__free_unpacked(plan, NULL);
	return rc;
}

static void count(struct report *r)
{
	for (size_t i = 0; i < r->diags.n; i++) {
		r->errors += r->diags.items[i].level == SB_DIAG_ERROR;
		r->warnings += r->diags.items[i].level == SB_DIAG_WARNING;
	}
	r->errors += checks_count(&r->findings, SB_SEVERITY_ERROR);
	r->warnings += checks_count(&r->findings, SB_SEVERITY_WARNING);
	r->hints = checks_count(&r->findings, SB_SEVERITY_INFO);
	for (size_t i = 0; i < r->findings.n; i++)
		r->accepted += r->findings.items[i].accepted != NULL;
}

/* --- telling --- */

/* An error's text may begin with its place, "path:line:col"; the tag comes behind it. */
static size_t place_in(const char *path, const char *text)
{
	size_t len = strlen(path);

	if (strncmp(text, path, len) != 0 || text[len] != ':')
		return 0;
	return len + strspn(text + len, ":0123456789");
}

static void print_diag(const struct report *r, const struct sb_diag *d)
{
	static const char *const words[] = { "note", "warning", "error" };
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf place = SB_STRBUF_INIT;
	size_t len = place_in(r->path, d->text);

	if (d->level == SB_DIAG_NOTE)
		return;
	if (len)
		sb_strbuf_add(&place, d->text, len - 1);
	else if (d->line)
		sb_strbuf_addf(&place, "%s:%u:%u", r->path, d->line, d->col);
	else
		sb_strbuf_adds(&place, r->path);
	printf("%s: %s%s:%s %s\n", sb_strbuf_str(&place),
			sb_color(stdout, d->level == SB_DIAG_ERROR ? SB_RED : SB_YELLOW),
			words[d->level], sb_color(stdout, SB_PLAIN),
			d->text + len + (d->text[len] == ' '));
}

static void print_counts(const struct report *r)
{
	const struct {
		size_t n;
		const char *what;
	} counts[] = { { r->errors, "error" }, { r->warnings, "warning" }, { r->hints, "hint" } };
	const char *comma = "";

	for (size_t i = 0; i < sb_countof(counts); i++)
		if (counts[i].n) {
			printf("%s%zu %s%s", comma, counts[i].n, counts[i].what,
					plural(counts[i].n));
			comma = ", ";
		}
}

static void print_report(const struct validation *v, const struct report *r, bool good)
{
	bool quiet = v->cli->global.quiet, verbose = v->cli->global.verbose;

	for (size_t i = 0; i < r->diags.n; i++)
		print_diag(r, &r->diags.items[i]);
	for (size_t i = 0; i < r->findings.n; i++) {
		const struct sb_finding *f = &r->findings.items[i];

		if (f->accepted ? verbose : !quiet || f->severity > SB_SEVERITY_INFO)
			checks_print(stdout, r->path, f, false, true);
	}
	if (quiet && good)
		return;
	if (good && !r->warnings && !r->hints) {
		printf("Recipe '%s' is valid.\n", r->name);
	} else {
		printf("Recipe '%s' %s: ", r->name, good ? "is valid" : "has issues");
		print_counts(r);
		puts(".");
	}
	if (r->accepted)
		printf("  The recipe accepts %zu finding%s%s.\n", r->accepted, plural(r->accepted),
				verbose ? "" : " (-v says which, and why)");
	if (verbose)
		printf("  %zu rules could not be checked: they ask about nodes, clients or a model "
		       "that nobody described.\n",
				r->findings.unknown);
}

static json_t *to_json(const struct report *r, bool good)
{
	json_t *issues = json_array(), *findings = json_array(), *accepted = json_array();

	for (size_t i = 0; i < r->diags.n; i++) {
		const struct sb_diag *d = &r->diags.items[i];

		if (d->level != SB_DIAG_NOTE)
			json_array_append_new(issues,
					json_pack("{s:s, s:o, s:i, s:i}", "severity",
							d->level == SB_DIAG_ERROR ? "error"
										  : "warning",
							"message", recipe_text_json(d->text),
							"line", (int)d->line, "column",
							(int)d->col));
	}
	for (size_t i = 0; i < r->findings.n; i++)
		json_array_append_new(r->findings.items[i].accepted ? accepted : findings,
				checks_json(&r->findings.items[i]));
	return json_pack("{s:o, s:o, s:b, s:i, s:i, s:o, s:o, s:o, s:i}", "recipe",
			recipe_text_json(r->name), "path", recipe_text_json(r->path), "valid",
			(int)good, "errors", (int)r->errors, "warnings", (int)r->warnings, "issues",
			issues, "findings", findings, "accepted", accepted, "not_checkable",
			(int)r->findings.unknown);
}

static int validate(struct validation *v, const struct recipe_source *source, struct sb_err *err)
{
	SB_CLEANUP(report_done) struct report r = { .path = source->path, .name = source->name };
	int rc = look(v, &r, err);
	bool good;

	if (rc < 0)
		return sb_err_wrap(err, rc, "%s", source->path);
	count(&r);
	good = !r.errors && (!v->opts->strict || !r.warnings);
	v->n++;
	v->n_bad += !good;
	if (v->opts->json)
		json_array_append_new(v->all, to_json(&r, good));
	else
		print_report(v, &r, good);
	return 0;
}

/* --- targets --- */

static bool is_folder(const char *target)
{
	struct stat st;

	return !stat(target, &st) && S_ISDIR(st.st_mode);
}

static int validate_folder(struct validation *v, const char *folder, struct sb_err *err)
{
	SB_CLEANUP(recipe_list_done) struct recipe_list list = { 0 };
	int rc = recipe_list_folder(folder, &list, err);

	if (rc == 0 && !list.n)
		return sb_err_set(err, SB_E_NOT_FOUND, "%s: no *.yaml or *.yml in it", folder);
	for (size_t i = 0; rc == 0 && i < list.n; i++)
		rc = validate(v, &list.items[i], err);
	return rc;
}

/* A target that cannot be looked at is told, and fails the command; the rest goes on. */
static void validate_target(struct validation *v, const char *target)
{
	struct recipe_source source = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	if (is_folder(target)) {
		rc = validate_folder(v, target, &err);
	} else {
		rc = recipe_find(target, &source, &err);
		if (rc == 0)
			rc = validate(v, &source, &err);
	}
	recipe_source_done(&source);
	if (rc == 0)
		return;
	v->n_bad++;
	cli_fail(v->cli, &err);
}

int cmd_recipe_validate(struct cli *cli, const struct call *call)
{
	struct validation v = { .cli = cli, .opts = call->opts, .all = json_array() };
	struct sb_err err = SB_ERR_INIT;
	int status = EXIT_FAILED;
	bool one = call->n_args == 1 && !is_folder(call->args[0]);

	if (checks_load(&v.rules, &err) < 0) {
		json_decref(v.all);
		return cli_fail(cli, &err);
	}
	for (size_t i = 0; i < call->n_args; i++)
		validate_target(&v, call->args[i]);
	status = v.n_bad ? EXIT_FAILED : EXIT_DONE;
	if (v.opts->json && one && v.n)
		status = cli_json(cli, json_incref(json_array_get(v.all, 0)), status);
	else if (v.opts->json && !one)
		status = cli_json(cli, json_incref(v.all), status);
	else if (!one && !cli->global.quiet)
		printf("%zu recipe%s, %zu with issues.\n", v.n, plural(v.n), v.n_bad);
	json_decref(v.all);
	sb_rules_free(v.rules);
	return status;
}
