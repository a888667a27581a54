/* Which nodes a command is about. Unlike the published tool, a name that is not known never means
 * "then take the default": it is an error that says what is known. */
#include <string.h>

#include "cli.h"
#include "sb_fs.h"

#define HOSTS_FILE_MAX_BYTES ((size_t)1 << 20)
#define LABEL_MAX_BYTES      512

const struct opt host_options[] = {
	{ OPT_TEXT, 'H', "hosts", NULL, "A,B", "nodes by name or address; the first is the head",
			offsetof(struct host_opts, hosts) },
	{ OPT_TEXT, 0, "hosts-file", NULL, "FILE", "one node per line; # starts a comment",
			offsetof(struct host_opts, hosts_file) },
	{ OPT_TEXT, 0, "cluster", NULL, "NAME", "the nodes of a saved cluster",
			offsetof(struct host_opts, cluster) },
	{ OPT_END },
};

void cli_nodes_done(struct cli_nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		free(nodes->items[i].host);
		sb_inv_node_done(&nodes->items[i].node);
	}
	free(nodes->items);
	free(nodes->label);
	sb_inv_cluster_done(&nodes->cluster);
	*nodes = (struct cli_nodes)CLI_NODES_INIT;
}

const struct cli_node *hosts_by_name(const struct cli_nodes *nodes, const char *name)
{
	for (size_t i = 0; i < nodes->n; i++)
		if (!strcmp(nodes->items[i].node.name, name))
			return &nodes->items[i];
	return NULL;
}

static int unknown_host(
		const char *host, const struct sb_inv_node *known, size_t n, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf names = SB_STRBUF_INIT;

	for (size_t i = 0; i < n; i++)
		sb_strbuf_addf(&names, "%s%s", i ? ", " : "", known[i].name);
	sb_err_set(err, SB_E_NOT_FOUND, "unknown node '%s'; known nodes: %s", host,
			n ? sb_strbuf_str(&names) : "none");
	return sb_err_hint(err, -SB_E_NOT_FOUND, "sparkbus node add NAME ADDRESS registers one");
}

static int copy_node(const struct sb_inv_node *from, struct sb_inv_node *ret, struct sb_err *err)
{
	struct sb_inv_node copy = *from;

	copy.name = from->name ? strdup(from->name) : NULL;
	copy.address = from->address ? strdup(from->address) : NULL;
	copy.serial = from->serial ? strdup(from->serial) : NULL;
	if (!copy.name || !copy.address || (from->serial && !copy.serial)) {
		sb_inv_node_done(&copy);
		return sb_err_nomem(err);
	}
	*ret = copy;
	return 0;
}

int hosts_find(struct cli *cli, const char *host, struct sb_inv_node *ret, struct sb_err *err)
{
	const struct sb_inv_node *known;
	size_t n;
	int rc = cli_known(cli, &known, &n, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(known[i].name, host))
			return copy_node(&known[i], ret, err);
	for (size_t i = 0; i < n; i++)
		if (known[i].address && !strcmp(known[i].address, host))
			return copy_node(&known[i], ret, err);
	return unknown_host(host, known, n, err);
}

int hosts_add(struct cli *cli, struct cli_nodes *nodes, const char *host, struct sb_err *err)
{
	struct cli_node added = { 0 }, *grown;
	int rc = hosts_find(cli, host, &added.node, err);

	if (rc < 0)
		return rc;
	if (hosts_by_name(nodes, added.node.name)) {
		sb_inv_node_done(&added.node);
		return 0;
	}
	grown = reallocarray(nodes->items, nodes->n + 1, sizeof(*grown));
	added.host = strdup(host);
	if (grown)
		nodes->items = grown;
	if (!grown || !added.host) {
		free(added.host);
		sb_inv_node_done(&added.node);
		return sb_err_nomem(err);
	}
	grown[nodes->n++] = added;
	return 0;
}

static int read_hosts_file(const char *path, char ***list, size_t *n, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	char *save = NULL;
	int rc = sb_fs_read(path, HOSTS_FILE_MAX_BYTES, &text, err);

	if (rc < 0)
		return sb_err_wrap(err, rc, "--hosts-file");
	for (char *line = text.len ? strtok_r(text.data, "\n", &save) : NULL; line;
			line = strtok_r(NULL, "\n", &save)) {
		line[strcspn(line, "#")] = '\0';
		rc = split_list(line, list, n, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int hosts_given(const struct host_opts *opts, char ***ret, size_t *ret_n, struct sb_err *err)
{
	char **list = NULL;
	size_t n = 0;
	int rc = 0;

	if (opts->hosts)
		rc = split_list(opts->hosts, &list, &n, err);
	else if (opts->hosts_file)
		rc = read_hosts_file(opts->hosts_file, &list, &n, err);
	if (!rc && !n && (opts->hosts || opts->hosts_file))
		rc = sb_err_set(err, SB_E_INVALID, "%s names no host",
				opts->hosts ? "--hosts" : opts->hosts_file);
	if (rc < 0) {
		free_list(list, n);
		return rc;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

static int add_given(struct cli *cli, const struct host_opts *opts, struct cli_nodes *nodes,
		struct sb_err *err)
{
	char label[LABEL_MAX_BYTES], **list = NULL;
	size_t n = 0;
	int rc = hosts_given(opts, &list, &n, err);

	for (size_t i = 0; !rc && i < n; i++)
		rc = hosts_add(cli, nodes, list[i], err);
	free_list(list, n);
	if (rc < 0 || !n)
		return rc;
	snprintf(label, sizeof(label), opts->hosts ? "--hosts" : "hosts file (%s)",
			opts->hosts_file);
	nodes->label = strdup(label);
	return 0;
}

static int add_cluster(struct cli *cli, struct sb_inventory *inv, const char *name, bool is_default,
		struct cli_nodes *nodes, struct sb_err *err)
{
	char label[LABEL_MAX_BYTES];
	int rc = sb_inventory_cluster_get(inv, name, &nodes->cluster, err);

	if (rc == -SB_E_NOT_FOUND) {
		sb_err_set(err, SB_E_NOT_FOUND, "Cluster '%s' not found.", name);
		return sb_err_hint(err, rc, "sparkbus cluster list shows the saved ones");
	}
	for (size_t i = 0; !rc && i < nodes->cluster.n_hosts; i++)
		rc = sb_err_wrap(err, hosts_add(cli, nodes, nodes->cluster.hosts[i], err),
				"cluster '%s'", name);
	snprintf(label, sizeof(label), "%scluster '%s'", is_default ? "default " : "", name);
	if (!rc)
		nodes->label = strdup(label);
	return rc;
}

static int add_all(struct cli *cli, struct cli_nodes *nodes, struct sb_err *err)
{
	const struct sb_inv_node *known;
	size_t n;
	int rc = cli_known(cli, &known, &n, err);

	for (size_t i = 0; !rc && i < n; i++)
		if (!known[i].revoked)
			rc = hosts_add(cli, nodes, known[i].name, err);
	if (!rc && !nodes->n) {
		sb_err_set(err, SB_E_NOT_FOUND, "No nodes are registered.");
		return sb_err_hint(err, -SB_E_NOT_FOUND,
				"sparkbus node add NAME ADDRESS registers one");
	}
	if (!rc)
		nodes->label = strdup("all nodes");
	return rc;
}

static int check_revoked(
		struct cli *cli, enum hosts_need need, struct cli_nodes *nodes, struct sb_err *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		struct cli_node *item = &nodes->items[i];

		if (item->node.revoked && need == HOSTS_MUST)
			return sb_err_set(err, SB_E_DENIED, "node %s is revoked", item->node.name);
		if (!item->node.revoked) {
			nodes->items[kept++] = *item;
			continue;
		}
		cli_warn(cli, "node %s is revoked and left out", item->node.name);
		free(item->host);
		sb_inv_node_done(&item->node);
	}
	nodes->n = kept;
	return 0;
}

static int resolve(struct cli *cli, const struct host_opts *opts, enum hosts_need need,
		struct cli_nodes *nodes, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *name = NULL;
	struct sb_inventory *inv;
	int rc = cli_inventory(cli, &inv, err);

	if (rc < 0)
		return rc;
	if (opts->hosts || opts->hosts_file)
		return add_given(cli, opts, nodes, err);
	if (opts->cluster)
		return add_cluster(cli, inv, opts->cluster, false, nodes, err);
	rc = sb_inventory_default(inv, &name, err);
	if (rc < 0)
		return rc;
	if (name)
		return add_cluster(cli, inv, name, true, nodes, err);
	if (need == HOSTS_OR_ALL)
		return add_all(cli, nodes, err);
	sb_err_set(err, SB_E_INVALID, "No hosts specified. Use --hosts or configure defaults.");
	return sb_err_hint(
			err, -SB_E_INVALID, "sparkbus cluster create NAME --hosts A,B --default");
}

int hosts_resolve(struct cli *cli, const struct host_opts *opts, enum hosts_need need,
		struct cli_nodes *ret, struct sb_err *err)
{
	struct cli_nodes nodes = CLI_NODES_INIT;
	int rc = resolve(cli, opts, need, &nodes, err);

	if (!rc)
		rc = check_revoked(cli, need, &nodes, err);
	if (!rc && !nodes.label)
		rc = sb_err_nomem(err);
	if (rc < 0) {
		cli_nodes_done(&nodes);
		return rc;
	}
	*ret = nodes;
	return 0;
}
