/* What several fabric commands share: ask, derive, say in a line what came of it. */
#include <string.h>

#include "fabric_nodes.h"
#include "status_nodes.h"

const Sparkbus__FabricState *fabric_state(const Sparkbus__NodeState *state)
{
	return state && state->telemetry ? state->telemetry->fabric : NULL;
}

int fabric_view_ask(struct cli *cli, const struct host_opts *opts, struct fabric_view *ret,
		struct sb_err *err)
{
	int rc = hosts_resolve(cli, opts, HOSTS_OR_ALL, &ret->nodes, err);

	if (rc == 0)
		rc = fleet_ask(cli, &ret->nodes, true, &ret->fleet, err);
	if (rc < 0)
		return rc;
	return status_fabric(&ret->fleet, &ret->reports, &ret->fabric, err);
}

void fabric_view_done(struct fabric_view *view)
{
	sb_fabric_free(view->fabric);
	free(view->reports);
	fleet_done(&view->fleet);
	cli_nodes_done(&view->nodes);
}

static unsigned best_gbps(const struct fabric_view *view)
{
	const struct sb_fabric_link *link;
	unsigned best = 0;

	for (size_t i = 0; (link = sb_fabric_link_at(view->fabric, i)); i++) {
		unsigned gbps = sb_fabric_expected_gbps(view->fabric, link->a, link->b);

		best = gbps > best ? gbps : best;
	}
	return best;
}

void fabric_headline(const struct fabric_view *view, struct sb_strbuf *out)
{
	SB_CLEANUP(sb_freep) char *why = sb_fabric_why_not(view->fabric);
	size_t n = view->nodes.n;

	sb_strbuf_addf(out, "%s, %zu node%s", sb_topology_name(sb_fabric_topology(view->fabric)), n,
			plural(n));
	if (sb_fabric_usable(view->fabric))
		sb_strbuf_addf(out, ", %u Gb/s between neighbours at best", best_gbps(view));
	else if (n > 1 && why)
		sb_strbuf_addf(out, "; %s: %s",
				sb_fabric_known(view->fabric) ? "no RDMA" : "RDMA unknown", why);
}

json_t *fabric_json(const struct fabric_view *view)
{
	SB_CLEANUP(sb_freep) char *why = sb_fabric_why_not(view->fabric);

	return json_pack("{s:s, s:b, s:b, s:s, s:o}", "topology",
			sb_topology_name(sb_fabric_topology(view->fabric)), "known",
			sb_fabric_known(view->fabric), "usable", sb_fabric_usable(view->fabric),
			"why_not", why ? why : "", "unknown_nodes",
			fleet_silent_json(&view->fleet));
}
