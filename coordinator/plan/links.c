/* links.c - what the links between the nodes mean for a plan: environment and warnings.
 *
 * The links say least: whoever sets one of the variables knows better, or has a reason to try. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* --- environment --- */

static size_t place_of(const Sparkbus__RankSpec *rank, const char *name)
{
	size_t i = 0;

	while (i < rank->n_env && strcmp(rank->env[i]->name, name) < 0)
		i++;
	return i;
}

/* A variable at place @at; they stay sorted. */
static Sparkbus__EnvVar *insert(Sparkbus__RankSpec *rank, size_t at)
{
	Sparkbus__EnvVar *var = malloc(sizeof(*var));
	Sparkbus__EnvVar **grown = reallocarray(rank->env, rank->n_env + 1, sizeof(*grown));

	if (grown)
		rank->env = grown;
	if (!var || !grown) {
		free(var);
		return NULL;
	}
	sparkbus__env_var__init(var);
	memmove(&grown[at + 1], &grown[at], (rank->n_env - at) * sizeof(*grown));
	grown[at] = var;
	rank->n_env++;
	return var;
}

static int add_variable(Sparkbus__RankSpec *rank, const struct sb_fabric_env *from)
{
	size_t at = place_of(rank, from->name);
	bool there = at < rank->n_env && !strcmp(rank->env[at]->name, from->name);
	Sparkbus__EnvVar *var = there ? rank->env[at] : insert(rank, at);

	if (!var)
		return -SB_E_NOMEM;
	if (!there &&
			(sb_plan_text(&var->name, from->name) < 0 ||
					sb_plan_text(&var->value, from->value) < 0))
		return -SB_E_NOMEM;
	if (strcmp(var->value, from->value) != 0 && sb_plan_text(&var->computed, from->value) < 0)
		return -SB_E_NOMEM;
	return sb_plan_text(&var->reason, from->reason);
}

/* In a network of its own a container has none of the node's interfaces. */
static bool shares_network(const Sparkbus__RankSpec *rank)
{
	return rank->options && !strcmp(rank->options->network, "host");
}

static int add_rank(Sparkbus__RankSpec *rank, unsigned number, const struct sb_fabric *fabric)
{
	const struct sb_fabric_env *env;
	int rc = 0;

	for (size_t i = 0; rc == 0 && (env = sb_fabric_env_at(fabric, number, i)); i++)
		rc = add_variable(rank, env);
	return rc;
}

/* --- warnings --- */

static int warn(Sparkbus__LaunchPlan *plan, struct sb_diags *diags, const char *fmt, ...)
		SB_PRINTF(3, 4);
static int warn(Sparkbus__LaunchPlan *plan, struct sb_diags *diags, const char *fmt, ...)
{
	char **grown = reallocarray(plan->warnings, plan->n_warnings + 1, sizeof(*grown));
	va_list ap;
	int n;

	if (!grown)
		return -SB_E_NOMEM;
	plan->warnings = grown;
	va_start(ap, fmt);
	n = vasprintf(&grown[plan->n_warnings], fmt, ap);
	va_end(ap);
	if (n < 0)
		return -SB_E_NOMEM;
	sb_diag_add(diags, SB_DIAG_WARNING, 0, 0, "%s", grown[plan->n_warnings]);
	plan->n_warnings++;
	return 0;
}

/* Speeds are those that reference measurements of two Sparks gave: 22 to 24 GB/s over RDMA, below
 * 1.2 GB/s over the RJ45 port. */
static int warn_of_ethernet(
		Sparkbus__LaunchPlan *plan, const struct sb_fabric *fabric, struct sb_diags *diags)
{
	SB_CLEANUP(sb_freep) char *why = sb_fabric_why_not(fabric);

	if (!why)
		return -SB_E_NOMEM;
	if (sb_fabric_known(fabric))
		return warn(plan, diags,
				"the ranks talk over Ethernet, not over the fabric, at about a "
				"twentieth of its speed: %s",
				why);
	return warn(plan, diags,
			"it is not known whether the ranks talk over the fabric or over Ethernet, "
			"and NCCL is left to choose: %s",
			why);
}

static int add_warnings(
		Sparkbus__LaunchPlan *plan, const struct sb_fabric *fabric, struct sb_diags *diags)
{
	const struct sb_fabric_finding *f;
	int rc = sb_fabric_usable(fabric) ? 0 : warn_of_ethernet(plan, fabric, diags);

	for (size_t i = 0; rc == 0 && (f = sb_fabric_finding_at(fabric, i)); i++)
		if (f->severity == SB_FABRIC_WARNING && !f->no_link)
			rc = warn(plan, diags, "fabric: %s%s%s (%s). %s", f->node,
					*f->node ? ": " : "", f->text, f->cause, f->fix);
	return rc;
}

int sb_plan_add_fabric(Sparkbus__LaunchPlan *plan, const struct sb_fabric *fabric,
		struct sb_diags *diags, bool *ret_warned, struct sb_err *err)
{
	size_t before = plan->n_warnings;
	int rc = 0;

	if (plan->n_ranks < 2)
		return 0;
	for (size_t i = 0; rc == 0 && i < plan->n_ranks; i++)
		if (shares_network(plan->ranks[i]))
			rc = add_rank(plan->ranks[i], (unsigned)i, fabric);
	if (rc == 0)
		rc = add_warnings(plan, fabric, diags);
	if (ret_warned)
		*ret_warned = plan->n_warnings > before;
	return rc < 0 ? sb_err_nomem(err) : 0;
}
