/* nodes.c - one file per node: where it is and what was signed for it. */
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define NODES        "nodes"
#define CONTROL_PORT 47100 /* the agent's defaults */
#define PEER_PORT    47101

static const struct inv_field fields[] = {
	{ "address", INV_TEXT, true, offsetof(struct sb_inv_node, address), NULL },
	{ "control_port", INV_PORT, false, offsetof(struct sb_inv_node, control_port), NULL },
	{ "peer_port", INV_PORT, false, offsetof(struct sb_inv_node, peer_port), NULL },
	{ "serial", INV_TEXT, false, offsetof(struct sb_inv_node, serial), NULL },
	{ "not_after", INV_TIME, false, offsetof(struct sb_inv_node, not_after_unix_s), NULL },
	{ "revoked", INV_FLAG, false, offsetof(struct sb_inv_node, revoked), NULL },
};

static int check_name(const char *name, struct sb_err *err)
{
	if (sb_tls_name_ok(name))
		return 0;
	return sb_err_set(err, SB_E_INVALID,
			"\"%s\" is not a node name: 1 to 63 of A-Z a-z 0-9 . _ -, beginning with a "
			"letter or digit",
			name ? name : "");
}

void sb_inv_node_done(struct sb_inv_node *node)
{
	free(node->name);
	free(node->address);
	free(node->serial);
	*node = (struct sb_inv_node){ 0 };
}

int inv_node_write(struct sb_inventory *inv, const struct sb_inv_node *node, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc = inv_write_fields(&text, fields, sb_countof(fields), node, err);

	if (rc == 0)
		rc = inv_built(&text, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "node %s", node->name);
	return inv_write(inv, NODES, node->name, ".yaml", sb_strbuf_str(&text), err);
}

int sb_inventory_node_put(
		struct sb_inventory *inv, const struct sb_inv_node *node, struct sb_err *err)
{
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc = check_name(node->name, err);

	if (rc == 0)
		rc = inv_lock(inv, &lock, err);
	return rc < 0 ? rc : inv_node_write(inv, node, err);
}

int sb_inventory_node_get(struct sb_inventory *inv, const char *name, struct sb_inv_node *ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	SB_CLEANUP(sb_inv_node_done)
	struct sb_inv_node node = { .control_port = CONTROL_PORT, .peer_port = PEER_PORT };
	int rc = check_name(name, err);

	if (rc == 0)
		rc = inv_load(inv, NODES, name, &doc, err);
	if (rc == -SB_E_NOT_FOUND)
		return sb_err_set(err, SB_E_NOT_FOUND, "no node is called %s", name);
	if (rc == 0)
		rc = inv_read_fields(doc, fields, sb_countof(fields), &node, err);
	if (rc < 0)
		return rc;
	node.name = strdup(name);
	if (!node.name)
		return sb_err_nomem(err);
	*ret = node;
	node = (struct sb_inv_node){ 0 };
	return 0;
}

int sb_inventory_node_remove(struct sb_inventory *inv, const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = inv_path(inv, NODES, name ? name : "", ".yaml");
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc = check_name(name, err);

	if (!path)
		return sb_err_nomem(err);
	if (rc == 0)
		rc = inv_lock(inv, &lock, err);
	if (rc < 0)
		return rc;
	if (access(path, F_OK) < 0)
		return sb_err_set(err, SB_E_NOT_FOUND, "no node is called %s", name);
	return sb_fs_remove(path, err);
}

int sb_inventory_nodes(struct sb_inventory *inv, struct sb_inv_node **ret, size_t *ret_n,
		void (*warn)(void *ctx, const char *text), void *ctx, struct sb_err *err)
{
	struct sb_inv_node *nodes;
	struct sb_err why;
	char **names = NULL;
	size_t n_names = 0, n = 0;
	int rc = inv_list(inv, NODES, &names, &n_names, err);

	if (rc < 0)
		return rc;
	nodes = calloc(n_names + 1, sizeof(*nodes));
	for (size_t i = 0; nodes && i < n_names; i++) {
		rc = sb_inventory_node_get(inv, names[i], &nodes[n], &why);
		if (rc == 0)
			n++;
		else
			inv_warn(warn, ctx, &why);
	}
	inv_free_list(names, n_names);
	if (!nodes)
		return sb_err_nomem(err);
	*ret = nodes;
	*ret_n = n;
	return 0;
}
