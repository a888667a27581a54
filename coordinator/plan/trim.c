/* trim.c - how many nodes a launch uses, and what this version cannot launch.
 *
 * Rules and words are the published ones, with two repairs: too few nodes is an error also when
 * only one is given (there: it launches "-tp 2" on one node and fails late), and with no
 * parallelism set one node is used (there: every node would wait for a rendezvous that nobody
 * opens). "--solo" is the operator's word: it only warns. */
#include <string.h>

#include "internal.h"

static int too_few(const struct sb_workload *w, size_t n, struct sb_err *err)
{
	int rc = sb_workload_err(w, "min_nodes", SB_E_INVALID, err,
			"recipe '%s' needs at least %u nodes (min_nodes), but only %zu hosts "
			"provided",
			sb_workload_name(w), sb_workload_min_nodes(w), n);

	return sb_err_hint(err, rc, "give more hosts, or --solo --tp 1 to run on one node anyway");
}

/* A launch on one node that asked for more: allowed when the operator or the recipe says solo. */
static void warn_solo(const struct sb_workload *w, unsigned required, struct sb_diags *diags)
{
	if (required > 1)
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"the parallelism settings ask for %u nodes, but solo mode uses "
				"one; "
				"--tp 1 fits it",
				required);
}

/* Required nodes against the hosts given. */
static int trim_to_required(
		unsigned required, bool solo, struct sb_diags *diags, size_t *n, struct sb_err *err)
{
	if (solo || !required)
		return 0;
	if (required > *n) {
		int rc = sb_err_set(err, SB_E_INVALID,
				"runtime requires %u nodes, but only %zu hosts provided", required,
				*n);

		return sb_err_hint(err, rc, "give more hosts, or a smaller --tp");
	}
	if (required < *n)
		sb_diag_add(diags, SB_DIAG_NOTE, 0, 0, "%u nodes required, using %u of %zu hosts",
				required, required, *n);
	*n = required;
	return 0;
}

static int trim_to_max(const struct sb_workload *w, unsigned required, bool solo,
		struct sb_diags *diags, size_t *n, struct sb_err *err)
{
	unsigned max = sb_workload_max_nodes(w);

	if (!max || *n <= max)
		return 0;
	if (!solo && required > max)
		return sb_workload_err(w, "max_nodes", SB_E_INVALID, err,
				"runtime requires %u nodes (from parallelism settings), but recipe "
				"'%s' specifies max_nodes=%u",
				required, sb_workload_name(w), max);
	sb_diag_add(diags, SB_DIAG_NOTE, 0, 0, "recipe max_nodes=%u, using %u of %zu hosts", max,
			max, *n);
	*n = max;
	return 0;
}

static int check_min(const struct sb_workload *w, const struct sb_plan_input *input, size_t n,
		struct sb_diags *diags, struct sb_err *err)
{
	unsigned min = sb_workload_min_nodes(w);

	if (n >= min || sb_workload_mode(w) == SB_MODE_SOLO)
		return 0;
	if (!input->solo && input->n_nodes < min)
		return too_few(w, input->n_nodes, err);
	sb_diag_add(diags, SB_DIAG_WARNING, 0, 0, "recipe asks for at least %u nodes, using %zu",
			min, n);
	return 0;
}

int sb_plan_trim(const struct sb_workload *w, const struct sb_runtime *runtime,
		const struct sb_plan_input *input, struct sb_diags *diags, size_t *ret_n,
		struct sb_err *err)
{
	bool solo = input->solo || (input->n_nodes == 1 && sb_workload_mode(w) == SB_MODE_SOLO);
	size_t n = input->n_nodes;
	unsigned required = 0;
	int rc;

	if (!n)
		return sb_err_set(err, SB_E_INVALID,
				"No hosts specified. Use --hosts or configure defaults.");
	rc = runtime->required(w, &required, err);
	if (rc < 0)
		return rc;
	if (n == 1 && sb_workload_mode(w) == SB_MODE_CLUSTER)
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"Recipe requires cluster mode but only one host specified");
	rc = trim_to_required(required, solo, diags, &n, err);
	if (rc == 0)
		rc = trim_to_max(w, required, solo, diags, &n, err);
	if (rc < 0)
		return rc;
	if (n > 1 && (input->solo || sb_workload_mode(w) == SB_MODE_SOLO)) {
		sb_diag_add(diags, SB_DIAG_NOTE, 0, 0, "solo mode enabled, using 1 of %zu hosts",
				n);
		n = 1;
	}
	if (n > 1 && !required && runtime->one_node_by_default) {
		sb_diag_add(diags, SB_DIAG_NOTE, 0, 0,
				"no parallelism is set, using 1 of %zu hosts; --tp %zu uses all", n,
				n);
		n = 1;
	}
	if (n == 1)
		warn_solo(w, required, diags);
	rc = check_min(w, input, n, diags, err);
	if (rc < 0)
		return rc;
	*ret_n = n;
	return 0;
}

unsigned sb_plan_nodes_wanted(const struct sb_workload *w)
{
	const struct sb_runtime *runtime;
	unsigned n = 0, min = sb_workload_min_nodes(w);

	if (sb_workload_mode(w) == SB_MODE_SOLO)
		return 1;
	if (sb_runtime_find(sb_workload_runtime(w), &runtime, NULL) < 0 ||
			runtime->required(w, &n, NULL) < 0)
		n = 0;
	return n > min ? n : min;
}

/* --- what this version does not have --- */

static bool is_set(const struct sb_yaml_node *node)
{
	return sb_yaml_size(node) > 0 ||
			(sb_yaml_type(node) == SB_YAML_STR && *sb_yaml_str(node) != '\0');
}

static void warn_unfetched(const struct sb_workload *w, struct sb_diags *diags)
{
	const struct sb_yaml_node *node = sb_workload_key(w, "distribution_config");

	if (is_set(node))
		sb_diag_add(diags, SB_DIAG_WARNING, sb_yaml_line(node), sb_yaml_col(node),
				"distribution_config is not used by this version: the model alone "
				"is "
				"fetched");
}

int sb_plan_check_supported(const struct sb_workload *w, struct sb_diags *diags, struct sb_err *err)
{
	warn_unfetched(w, diags);
	return 0;
}
