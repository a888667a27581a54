/* Nodes as this workstation knows them: register, sign, list, forget. */
#include <string.h>
#include <time.h>

#include "commands.h"
#include "sb_fs.h"

#define NODE_DAYS     825
#define DAYS_MAX      36500
#define CSR_MAX_BYTES ((size_t)64 << 10)

#define NODE_OPT(member) offsetof(struct node_opts, member)
#define CSR_ROW                                                                                    \
	{                                                                                          \
		OPT_TEXT, 0, "csr", NULL, "FILE", "the node's certificate request; - is stdin",    \
				NODE_OPT(csr)                                                      \
	}
#define OUT_ROW                                                                                    \
	{                                                                                          \
		OPT_TEXT, 0, "out", NULL, "FILE",                                                  \
				"where the bundle goes (NAME.bundle.pem); - is stdout",            \
				NODE_OPT(out)                                                      \
	}
#define DAYS_ROW                                                                                   \
	{                                                                                          \
		OPT_INT, 0, "days", NULL, "N", "days until the certificate ends (825)",            \
				NODE_OPT(days), 1, DAYS_MAX                                        \
	}

const struct opt node_add_options[] = {
	CSR_ROW,
	OUT_ROW,
	{ OPT_INT, 0, "control-port", NULL, "N", "the agent's port for operators (47100)",
			NODE_OPT(control_port), 1, 65535 },
	{ OPT_INT, 0, "peer-port", NULL, "N", "the agent's port for other agents (47101)",
			NODE_OPT(peer_port), 1, 65535 },
	DAYS_ROW,
	{ OPT_END },
};
const struct opt node_sign_options[] = { CSR_ROW, OUT_ROW, DAYS_ROW, { OPT_END } };
const struct opt json_options_node[] = {
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", NODE_OPT(json) },
	{ OPT_END },
};

static int write_bundle(const char *name, const char *out, const char *bundle, struct sb_err *err)
{
	char path[128];
	int rc;

	if (out && !strcmp(out, "-")) {
		fputs(bundle, stdout);
		return 0;
	}
	snprintf(path, sizeof(path), "%s.bundle.pem", name);
	rc = sb_fs_write(out ? out : path, bundle, strlen(bundle), 0600, err);
	if (!rc)
		fprintf(stderr, "Wrote %s; on the node: sparkbusd enroll --install FILE\n",
				out ? out : path);
	return rc;
}

static int sign(struct cli *cli, const char *name, const struct node_opts *opts, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf csr = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *bundle = NULL;
	int64_t days = opts->days.text ? opts->days.value : NODE_DAYS;
	struct sb_inventory *inv;
	int rc = cli_inventory(cli, &inv, err);

	if (!rc)
		rc = cli_read(opts->csr, CSR_MAX_BYTES, &csr, err);
	if (!rc)
		rc = sb_inventory_sign(inv, name, sb_strbuf_str(&csr), time(NULL) + days * 86400,
				&bundle, err);
	if (!rc)
		rc = write_bundle(name, opts->out, bundle, err);
	return rc;
}

/* What is known of the certificate stays when a node is registered again with a new address. */
static int put_node(struct cli *cli, const char *name, const char *address,
		const struct node_opts *opts, struct sb_err *err)
{
	SB_CLEANUP(sb_inv_node_done) struct sb_inv_node node = { 0 };
	struct sb_inventory *inv;
	char host[256];
	uint16_t port = 0;
	int rc = cli_inventory(cli, &inv, err);

	if (rc < 0)
		return rc;
	rc = sb_tls_split_address(address, host, sizeof(host), &port, err);
	if (rc < 0)
		return rc;
	rc = sb_inventory_node_get(inv, name, &node, err);
	if (rc < 0 && rc != -SB_E_NOT_FOUND)
		return rc;
	if (rc == -SB_E_NOT_FOUND) {
		node = (struct sb_inv_node){ .control_port = SB_CONTROL_PORT,
			.peer_port = SB_PEER_PORT };
		node.name = strdup(name);
	}
	free(node.address);
	node.address = strdup(host);
	if (!node.name || !node.address)
		return sb_err_nomem(err);
	if (port)
		node.control_port = port;
	if (opts->control_port.text)
		node.control_port = (uint16_t)opts->control_port.value;
	if (opts->peer_port.text)
		node.peer_port = (uint16_t)opts->peer_port.value;
	return sb_inventory_node_put(inv, &node, err);
}

int cmd_node_add(struct cli *cli, const struct call *call)
{
	const struct node_opts *opts = call->opts;
	const char *name = call->args[0], *address = call->args[1];
	struct sb_err err = SB_ERR_INIT;

	if (!sb_tls_name_ok(name))
		return cli_usage(call, "'%s' cannot be a name: 1 to 63 of A-Z a-z 0-9 . _ -", name);
	if (!opts->csr && (opts->out || opts->days.text))
		return cli_usage(call, "--out and --days go with --csr");
	if (put_node(cli, name, address, opts, &err) < 0)
		return cli_fail(cli, &err);
	/* Signing also writes the certificate's serial into the node's record. */
	if (opts->csr && sign(cli, name, opts, &err) < 0)
		return cli_fail(cli, &err);
	fprintf(opts->out && !strcmp(opts->out, "-") ? stderr : stdout,
			"Node '%s' registered at %s.\n", name, address);
	return EXIT_DONE;
}

int cmd_node_sign(struct cli *cli, const struct call *call)
{
	const struct node_opts *opts = call->opts;
	struct sb_err err = SB_ERR_INIT;

	if (!opts->csr)
		return cli_usage(call, "--csr is needed");
	return sign(cli, call->args[0], opts, &err) < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

static const char *date_text(int64_t unix_s, char *buf, size_t size)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!unix_s || !gmtime_r(&t, &tm) || !strftime(buf, size, "%Y-%m-%d", &tm))
		return "-";
	return buf;
}

static json_t *node_json(const struct sb_inv_node *node)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:s?, s:I, s:b}", "name", node->name, "address",
			node->address, "control_port", node->control_port, "peer_port",
			node->peer_port, "serial", node->serial, "not_after_unix_s",
			(json_int_t)node->not_after_unix_s, "revoked", node->revoked);
}

int cmd_node_list(struct cli *cli, const struct call *call)
{
	static const char *const headers[] = { "NAME", "ADDRESS", "CONTROL", "PEER", "CERTIFICATE",
		"STATE" };
	const struct node_opts *opts = call->opts;
	const struct sb_inv_node *nodes;
	struct sb_err err = SB_ERR_INIT;
	struct sb_table table;
	json_t *list = NULL;
	size_t n;
	int rc = cli_known(cli, &nodes, &n, &err);

	if (rc < 0)
		return cli_fail(cli, &err);
	if (opts->json) {
		list = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(list, node_json(&nodes[i]));
		return cli_json(cli, list, EXIT_DONE);
	}
	if (!n)
		printf("No nodes are registered.\n");
	sb_table_init(&table, headers, sb_countof(headers));
	for (size_t i = 0; i < n; i++) {
		char control[16], peer[16], until[32];

		snprintf(control, sizeof(control), "%u", nodes[i].control_port);
		snprintf(peer, sizeof(peer), "%u", nodes[i].peer_port);
		sb_table_row(&table,
				(const char *const[]){ nodes[i].name, nodes[i].address, control,
						peer,
						date_text(nodes[i].not_after_unix_s, until,
								sizeof(until)),
						nodes[i].revoked ? "revoked" : "registered" });
	}
	rc = sb_table_print(&table, stdout, &err);
	sb_table_done(&table);
	return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

int cmd_node_remove(struct cli *cli, const struct call *call)
{
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;
	struct sb_inv_node node = { 0 };
	bool valid;

	if (cli_inventory(cli, &inv, &err) < 0 ||
			sb_inventory_node_get(inv, call->args[0], &node, &err) < 0)
		return cli_fail(cli, &err);
	valid = node.serial && !node.revoked && node.not_after_unix_s > time(NULL);
	sb_inv_node_done(&node);
	if (sb_inventory_node_remove(inv, call->args[0], &err) < 0)
		return cli_fail(cli, &err);
	printf("Node '%s' removed.\n", call->args[0]);
	if (valid)
		cli_warn(cli,
				"its certificate is still valid; `sparkbus node revoke` withdraws "
				"one");
	return EXIT_DONE;
}
