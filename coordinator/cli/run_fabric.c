/* What the nodes of a launch say of their links: environment of each rank, and a warning when the
 * ranks will not talk over the fabric. */
#include <string.h>

#include "fabric_nodes.h"
#include "launch.h"

static size_t index_of(const struct launch *l, const char *name)
{
	size_t i = 0;

	while (i < l->nodes.n && strcmp(l->nodes.items[i].node.name, name) != 0)
		i++;
	return i;
}

int run_fabric(struct launch *l, const struct fleet *fleet, struct sb_diags *diags,
		bool *ret_warned, struct sb_err *err)
{
	SB_CLEANUP(sb_freep)
	struct sb_fabric_node *nodes = calloc(l->plan->n_ranks, sizeof(*nodes));
	SB_CLEANUP(sb_fabric_freep) struct sb_fabric *fabric = NULL;
	int rc;

	*ret_warned = false;
	if (!nodes)
		return sb_err_nomem(err);
	for (size_t i = 0; i < l->plan->n_ranks; i++) {
		const Sparkbus__RankSpec *rank = l->plan->ranks[i];
		size_t at = index_of(l, rank->node);

		nodes[i] = (struct sb_fabric_node){ rank->node, rank->address,
			at < l->nodes.n ? fabric_state(fleet_state(fleet, at)) : NULL };
	}
	rc = sb_fabric_derive(nodes, l->plan->n_ranks, &fabric, err);
	return rc < 0 ? rc : sb_plan_add_fabric(l->plan, fabric, diags, ret_warned, err);
}
