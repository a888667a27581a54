#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "sb_strbuf.h"

const char *sb_topology_name(enum sb_topology topology)
{
	static const char *const names[] = { "none", "one cable", "two cables", "ring", "switch",
		"incomplete" };

	static_assert(sb_countof(names) == SB_TOPOLOGY_COUNT_, "a name for each");
	return (unsigned)topology < SB_TOPOLOGY_COUNT_ ? names[topology] : names[0];
}

int sb_fabric_derive(const struct sb_fabric_node *nodes, size_t n_nodes, struct sb_fabric **ret,
		struct sb_err *err)
{
	static int (*const steps[])(struct sb_fabric *, struct sb_err *) = {
		sb_fabric_collect,
		sb_fabric_classify,
		sb_fabric_check,
		sb_fabric_plan_env,
	};
	SB_CLEANUP(sb_fabric_freep) struct sb_fabric *f = NULL;
	int rc = 0;

	if (n_nodes > SB_FABRIC_NODES_MAX)
		return sb_err_set(err, SB_E_RANGE, "%zu nodes; expected at most %u", n_nodes,
				SB_FABRIC_NODES_MAX);
	f = calloc(1, sizeof(*f));
	if (!f)
		return sb_err_nomem(err);
	f->nodes = nodes;
	f->n_nodes = n_nodes;
	for (size_t i = 0; rc == 0 && i < sb_countof(steps); i++)
		rc = steps[i](f, err);
	if (rc == 0)
		*ret = sb_steal(f);
	return rc;
}

void sb_fabric_free(struct sb_fabric *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_findings; i++) {
		free(f->findings[i].subject);
		free(f->findings[i].text);
	}
	for (size_t i = 0; f->env && i < f->n_nodes; i++) {
		for (struct sb_fabric_env *e = f->env[i]; e && e->name; e++)
			free(e->value);
		free(f->env[i]);
	}
	free(f->env);
	free(f->management);
	free(f->findings);
	free(f->links);
	free(f->hears);
	free(f->ports);
	free(f->funcs);
	free(f);
}

enum sb_topology sb_fabric_topology(const struct sb_fabric *f)
{
	return f->topology;
}

bool sb_fabric_usable(const struct sb_fabric *f)
{
	return f->topology != SB_TOPOLOGY_NONE && !f->refused;
}

/* That there are no devices is an answer when somebody looked. */
static bool told(const Sparkbus__FabricState *state)
{
	return state && (state->n_rdma || (state->rdma_sample && !*state->rdma_sample->error));
}

bool sb_fabric_known(const struct sb_fabric *f)
{
	for (size_t i = 0; i < f->n_nodes; i++)
		if (!told(f->nodes[i].state))
			return false;
	return true;
}

static bool is_reason(const struct sb_fabric *f, const struct sb_fabric_finding *finding)
{
	return f->refused ? finding->severity == SB_FABRIC_REFUSE : finding->no_link;
}

/* One node's second reason says no more than its first. */
static bool said_of(const struct sb_fabric *f, size_t before, const char *node)
{
	for (size_t i = 0; i < before; i++)
		if (is_reason(f, &f->findings[i]) && !strcmp(f->findings[i].node, node))
			return true;
	return false;
}

char *sb_fabric_why_not(const struct sb_fabric *f)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	for (size_t i = 0; i < f->n_findings && !sb_fabric_usable(f); i++) {
		const struct sb_fabric_finding *finding = &f->findings[i];
		bool named = strstr(finding->text, finding->node) != NULL;

		if (!is_reason(f, finding) || said_of(f, i, finding->node))
			continue;
		sb_strbuf_addf(&out, "%s%s%s%s: %s", out.len ? "; " : "", finding->text,
				named ? "" : " on ", named ? "" : finding->node, finding->cause);
	}
	if (!out.len && !sb_fabric_usable(f))
		sb_strbuf_adds(&out, "no two of these nodes share a cable");
	return sb_strbuf_steal(&out);
}

const char *sb_fabric_management(const struct sb_fabric *f, unsigned node, const char **ret_why)
{
	if (node >= f->n_nodes)
		return NULL;
	if (ret_why)
		*ret_why = f->management[node].why;
	return f->management[node].interface;
}

const struct sb_fabric_finding *sb_fabric_finding_at(const struct sb_fabric *f, size_t i)
{
	return i < f->n_findings ? &f->findings[i] : NULL;
}

const struct sb_fabric_link *sb_fabric_link_at(const struct sb_fabric *f, size_t i)
{
	return i < f->n_links ? &f->links[i] : NULL;
}

bool sb_fabric_func_at(
		const struct sb_fabric *f, unsigned node, size_t i, struct sb_fabric_func *ret)
{
	for (size_t k = 0; k < f->n_funcs; k++) {
		const struct func *func = &f->funcs[k];

		if (func->node != node || i-- > 0)
			continue;
		*ret = (struct sb_fabric_func){ func->link, func->rdma, func->port, func->path,
			func->has_ip ? func->ip_text : NULL, func->prefix, func->carrier,
			func->active, func->usable };
		return true;
	}
	return false;
}

const struct sb_fabric_env *sb_fabric_env_at(const struct sb_fabric *f, unsigned node, size_t i)
{
	if (node >= f->n_nodes)
		return NULL;
	for (size_t k = 0; k < i; k++)
		if (!f->env[node][k].name)
			return NULL;
	return f->env[node][i].name ? &f->env[node][i] : NULL;
}

/* --- pairs --- */

/* The first function of @to in the network of @func that is not worse than another: the same path
 * outweighs all. */
static const struct func *partner(const struct sb_fabric *f, const struct func *func, unsigned to)
{
	const struct func *best = NULL;

	for (size_t i = 0; i < f->n_funcs; i++) {
		const struct func *other = &f->funcs[i];

		if (other->node != to || !other->usable || !same_network(func, other))
			continue;
		if (!best || (best->path != func->path && other->path == func->path))
			best = other;
	}
	return best;
}

bool sb_fabric_pair_at(const struct sb_fabric *f, unsigned from, unsigned to, size_t i,
		struct sb_fabric_pair *ret)
{
	for (size_t k = 0; k < f->n_funcs && from != to; k++) {
		const struct func *func = &f->funcs[k];
		const struct func *other;

		if (func->node != from || !func->usable)
			continue;
		other = partner(f, func, to);
		if (!other || i-- > 0)
			continue;
		*ret = (struct sb_fabric_pair){ func->link->name, func->ip_text, other->link->name,
			other->ip_text, func->path };
		return true;
	}
	return false;
}

unsigned sb_fabric_expected_gbps(const struct sb_fabric *f, unsigned from, unsigned to)
{
	struct sb_fabric_pair pair;
	uint32_t paths = 0;
	unsigned gbps = 0;

	for (size_t i = 0; sb_fabric_pair_at(f, from, to, i, &pair); i++) {
		uint32_t bit = (uint32_t)1 << (pair.path & 31);

		gbps += paths & bit ? 0 : PATH_GBPS;
		paths |= bit;
	}
	return gbps;
}
