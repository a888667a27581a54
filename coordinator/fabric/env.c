/* env.c - the environment of each rank, from one table: variable, value, when, and why.
 *
 * Values that name interfaces or devices are the rank's own: nodes may be cabled to different
 * ports, or reach the network by different interfaces. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_PREFIX 24u

/* Cases a row is for. */
enum {
	SOLO = 1 << 0,     /* one node */
	ETHERNET = 1 << 1, /* several nodes and no usable fabric */
	UNKNOWN = 1 << 6,  /* several nodes, of which one does not say what it has */
	DIRECT = 1 << 2,   /* one or two cables between two nodes */
	SWITCH = 1 << 3,
	RING_3 = 1 << 4,
	RING_N = 1 << 5,
	RING = RING_3 | RING_N,
	FABRIC = DIRECT | SWITCH | RING,
	SEVERAL = ETHERNET | UNKNOWN | FABRIC,
	EVERY = SOLO | SEVERAL,
};

struct where {
	const struct sb_fabric *f;
	unsigned node;
};
/* The value; NULL leaves the variable out, *ret_failed tells out of memory. */
typedef char *value_fn(const struct where *at, bool *ret_failed);

static char *keep(char *text, bool *ret_failed)
{
	*ret_failed = *ret_failed || !text;
	return text;
}

/* RDMA devices with cable, verbs and address, in NCCL's own order; "=" matches whole names. */
static char *hca_list(const struct where *at, bool *ret_failed)
{
	char *list = strdup("=");
	unsigned n = 0;

	for (size_t i = 0; list && i < at->f->n_funcs; i++) {
		const struct func *func = &at->f->funcs[i];
		char *longer = NULL;

		if (func->node != at->node || !func->usable)
			continue;
		if (asprintf(&longer, "%s%s%s", list, n++ ? "," : "", func->rdma->name) < 0)
			longer = NULL;
		free(list);
		list = longer;
	}
	return keep(list, ret_failed);
}

static const char *management(const struct where *at)
{
	return sb_fabric_management(at->f, at->node, NULL);
}

static char *management_if(const struct where *at, bool *ret_failed)
{
	return management(at) ? keep(strdup(management(at)), ret_failed) : NULL;
}

static char *management_exact(const struct where *at, bool *ret_failed)
{
	char *text = NULL;

	if (!management(at))
		return NULL;
	if (asprintf(&text, "=%s", management(at)) < 0)
		text = NULL;
	return keep(text, ret_failed);
}

static char *own_address(const struct where *at, bool *ret_failed)
{
	return keep(strdup(at->f->nodes[at->node].address), ret_failed);
}

static char *head_address(const struct where *at, bool *ret_failed)
{
	return keep(strdup(at->f->nodes[0].address), ret_failed);
}

/* Only where it is not NCCL's default. */
static char *prefix_length(const struct where *at, bool *ret_failed)
{
	char *text = NULL;
	unsigned prefix = DEFAULT_PREFIX;

	for (size_t i = 0; i < at->f->n_funcs; i++)
		if (at->f->funcs[i].usable && at->f->funcs[i].prefix > prefix)
			prefix = at->f->funcs[i].prefix;
	if (prefix == DEFAULT_PREFIX)
		return NULL;
	if (asprintf(&text, "%u", prefix) < 0)
		text = NULL;
	return keep(text, ret_failed);
}

static const struct row {
	const char *name;
	unsigned when;
	const char *literal; /* or */
	value_fn *fn;
	const char *shown; /* of a computed value, for documents */
	const char *reason;
} rows[] = {
	{ "NCCL_NET", FABRIC, "IB", NULL, NULL,
			"fail at once where RDMA does not work, instead of TCP at a twentieth of "
			"the speed" },
	{ "NCCL_IB_DISABLE", FABRIC, "0", NULL, NULL,
			"undo an image or a configuration file that turns RDMA off" },
	{ "NCCL_IB_DISABLE", ETHERNET, "1", NULL, NULL,
			"no RDMA path joins these nodes: do not try devices that lead nowhere" },
	{ "NCCL_IB_HCA", FABRIC, NULL, hca_list, "=DEVICE,...",
			"every device of this node with cable and address: both twins of a port, "
			"since each carries half; '=' compares whole names" },
	{ "NCCL_SOCKET_IFNAME", SEVERAL, NULL, management_exact, "=INTERFACE",
			"the start-up talk is small and must reach every node: the management "
			"interface does, a cable of a ring does not" },
	{ "GLOO_SOCKET_IFNAME", SEVERAL, NULL, management_if, "INTERFACE",
			"without it Gloo binds what the host name resolves to, often 127.0.1.1" },
	{ "TP_SOCKET_IFNAME", SEVERAL, NULL, management_if, "INTERFACE", "as GLOO_SOCKET_IFNAME" },
	{ "MN_IF_NAME", SEVERAL, NULL, management_if, "INTERFACE", "as GLOO_SOCKET_IFNAME" },
	{ "OMPI_MCA_btl_tcp_if_include", SEVERAL, NULL, management_if, "INTERFACE",
			"mpirun's own connections, away from Docker's bridges" },
	{ "UCX_NET_DEVICES", SEVERAL, NULL, management_if, "INTERFACE",
			"UCX only starts MPI here, TCP will do; on a ring it cannot choose the "
			"right cable" },
	{ "NCCL_IB_SUBNET_AWARE_ROUTING", FABRIC, "1", NULL, NULL,
			"pick the device that shares a network with the peer (NCCL 2.30); needed "
			"on a ring, harmless elsewhere" },
	{ "NCCL_IB_MERGE_NICS", RING, "0", NULL, NULL,
			"on a ring a node's two ports lead to different peers: do not fuse them" },
	{ "NCCL_NET_PLUGIN", FABRIC, "none", NULL, NULL,
			"an image's foreign plug-in ignores networks; the built-in RDMA transport "
			"stays" },
	{ "NCCL_ALGO", RING_N, "Ring", NULL, NULL,
			"nodes that are not neighbours have no cable in common" },
	{ "NCCL_IB_ROCE_VERSION_NUM", FABRIC, "2", NULL, NULL,
			"RoCE v2, which is routed by IP address; the GID index itself is left to "
			"NCCL, since it differs between devices and after every reconnect" },
	{ "NCCL_IB_ADDR_FAMILY", FABRIC, "AF_INET", NULL, NULL,
			"the GID of the IPv4 address, not a link-local one" },
	{ "NCCL_IB_SUBNET_PREFIX_LEN", FABRIC, NULL, prefix_length, "BITS",
			"networks here are smaller than the /24 that NCCL compares" },
	{ "NCCL_IGNORE_CPU_AFFINITY", EVERY, "1", NULL, NULL,
			"one NUMA node: let NCCL's threads use every core" },
	{ "NODE_IP", SEVERAL, NULL, own_address, "ADDRESS", "this rank's management address" },
	{ "VLLM_HOST_IP", SEVERAL, NULL, own_address, "ADDRESS",
			"vLLM otherwise takes the address of the route to the internet" },
	{ "RAY_OVERRIDE_NODE_IP_ADDRESS", SEVERAL, NULL, own_address, "ADDRESS",
			"as VLLM_HOST_IP" },
	{ "MASTER_ADDR", SEVERAL, NULL, head_address, "ADDRESS",
			"the head's management address, never a fabric one: on a ring a rendezvous "
			"there hangs" },
};

static const struct {
	unsigned when;
	const char *text;
} words[] = {
	{ EVERY, "always" },
	{ SEVERAL, "several nodes" },
	{ FABRIC, "RDMA" },
	{ ETHERNET, "several nodes without RDMA" },
	{ RING, "ring" },
	{ RING_N, "ring of four or more" },
};

static const char *when_of(const struct row *row)
{
	size_t i = 0;

	while (i < sb_countof(words) && words[i].when != row->when)
		i++;
	return i < sb_countof(words) ? words[i].text : NULL;
}

/* What the value was taken from; a constant is taken from the case that it is for. */
static const char *source_of(const struct row *row, const struct sb_fabric *f, unsigned node)
{
	static const struct {
		value_fn *fn;
		const char *text;
	} sources[] = {
		{ hca_list, "RDMA devices of the node" },
		{ own_address, "registered address of the node" },
		{ head_address, "registered address of the head" },
		{ prefix_length, "addresses of the fabric" },
	};

	for (size_t i = 0; i < sb_countof(sources); i++)
		if (row->fn == sources[i].fn)
			return sources[i].text;
	return row->fn ? f->management[node].why : when_of(row);
}

static unsigned case_of(const struct sb_fabric *f)
{
	if (f->n_nodes < 2)
		return SOLO;
	if (!sb_fabric_usable(f))
		return sb_fabric_known(f) ? ETHERNET : UNKNOWN;
	switch (f->topology) {
	case SB_TOPOLOGY_RING:
		return f->n_nodes > 3 ? RING_N : RING_3;
	case SB_TOPOLOGY_SWITCH:
		return SWITCH;
	default:
		return DIRECT;
	}
}

static int plan_node(struct sb_fabric *f, unsigned node, unsigned now, struct sb_err *err)
{
	struct where at = { f, node };
	bool failed = false;
	size_t n = 0;

	f->env[node] = calloc(sb_countof(rows) + 1, sizeof(*f->env[node]));
	if (!f->env[node])
		return sb_err_nomem(err);
	for (size_t i = 0; i < sb_countof(rows) && !failed; i++) {
		char *value;

		if (!(rows[i].when & now))
			continue;
		value = rows[i].fn ? rows[i].fn(&at, &failed)
				   : keep(strdup(rows[i].literal), &failed);
		if (value)
			f->env[node][n++] = (struct sb_fabric_env){ rows[i].name, value,
				rows[i].reason, source_of(&rows[i], f, node) };
	}
	return failed ? sb_err_nomem(err) : 0;
}

int sb_fabric_plan_env(struct sb_fabric *f, struct sb_err *err)
{
	int rc = 0;

	f->env = calloc(f->n_nodes + 1, sizeof(*f->env));
	if (!f->env)
		return sb_err_nomem(err);
	for (unsigned i = 0; i < f->n_nodes && rc == 0; i++)
		rc = plan_node(f, i, case_of(f), err);
	return rc;
}

const char *sb_fabric_env_row(
		size_t i, const char **ret_value, const char **ret_when, const char **ret_reason)
{
	if (i >= sb_countof(rows))
		return NULL;
	*ret_value = rows[i].literal ? rows[i].literal : rows[i].shown;
	*ret_reason = rows[i].reason;
	if (ret_when)
		*ret_when = when_of(&rows[i]);
	return rows[i].name;
}
