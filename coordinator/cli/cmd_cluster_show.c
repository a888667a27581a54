/* Saved clusters: list, show, delete, default. */
#include <string.h>

#include "commands.h"

#define NAME_COLS  20
#define HOSTS_COLS 40
#define DESC_COLS  28

const struct opt cluster_json_options[] = {
	{ OPT_FLAG, 0, "json", NULL, NULL, "print JSON", offsetof(struct cluster_opts, json) },
	{ OPT_END },
};
const struct opt cluster_delete_options[] = {
	{ OPT_FLAG, 0, "force", NULL, NULL, "do not ask", offsetof(struct cluster_opts, force) },
	{ OPT_END },
};

static void warn(void *ctx, const char *text)
{
	cli_warn(ctx, "%s", text);
}

static const struct {
	const char *label, *key;
	size_t at;
} fields[] = {
	{ "Description:", "description", offsetof(struct sb_inv_cluster, description) },
	{ "User:", "user", offsetof(struct sb_inv_cluster, user) },
	{ "Cache dir:", "cache_dir", offsetof(struct sb_inv_cluster, cache_dir) },
	{ "Transfer:", "transfer_mode", offsetof(struct sb_inv_cluster, transfer_mode) },
	{ "Xfer iface:", "transfer_interface",
			offsetof(struct sb_inv_cluster, transfer_interface) },
	{ "Topology:", "topology", offsetof(struct sb_inv_cluster, topology) },
};

static const char *field_of(const struct sb_inv_cluster *c, size_t i)
{
	return *(char *const *)((const char *)c + fields[i].at);
}

static json_t *text_list(char *const *list, size_t n)
{
	json_t *json = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(json, json_string(list[i]));
	return json;
}

static json_t *cluster_json(const struct sb_inv_cluster *c, bool is_default)
{
	json_t *json = json_pack("{s:s, s:o, s:s, s:b}", "name", c->name, "hosts",
			text_list(c->hosts, c->n_hosts), "description",
			c->description ? c->description : "", "default", is_default);

	for (size_t i = 1; i < sb_countof(fields); i++)
		if (!sb_empty(field_of(c, i)))
			json_object_set_new(json, fields[i].key, json_string(field_of(c, i)));
	if (c->n_executor)
		json_object_set_new(json, "executor", text_list(c->executor, c->n_executor));
	return json;
}

/* Hosts go two to a line. */
static void print_row(const struct sb_inv_cluster *c, bool is_default)
{
	for (size_t i = 0; i < c->n_hosts || i == 0; i += 2) {
		char hosts[256] = "";

		if (c->n_hosts)
			snprintf(hosts, sizeof(hosts), "%s%s%s", c->hosts[i],
					i + 1 < c->n_hosts ? ", " : "",
					i + 1 < c->n_hosts ? c->hosts[i + 1] : "");
		printf("%c %-*s %-*s %s\n", !i && is_default ? '*' : ' ', NAME_COLS,
				i ? "" : c->name, HOSTS_COLS, hosts,
				i || !c->description ? "" : c->description);
	}
}

static void print_list(const struct sb_inv_cluster *list, size_t n, const char *chosen)
{
	bool any = false;

	if (!n) {
		puts("No saved clusters.");
		return;
	}
	printf("  %-*s %-*s %-*s\n", NAME_COLS, "Name", HOSTS_COLS, "Hosts", DESC_COLS,
			"Description");
	for (size_t i = 0; i < 2 + NAME_COLS + 1 + HOSTS_COLS + 1 + DESC_COLS; i++)
		putchar('-');
	putchar('\n');
	for (size_t i = 0; i < n; i++) {
		bool is_default = chosen && !strcmp(list[i].name, chosen);

		print_row(&list[i], is_default);
		any |= is_default;
	}
	if (any)
		puts("\n* = default cluster");
}

int cmd_cluster_list(struct cli *cli, const struct call *call)
{
	const struct cluster_opts *opts = call->opts;
	SB_CLEANUP(sb_freep) char *chosen = NULL;
	struct sb_inv_cluster *list = NULL;
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;
	int status = EXIT_DONE;
	size_t n = 0;

	if (cli_inventory(cli, &inv, &err) < 0 || sb_inventory_default(inv, &chosen, &err) < 0 ||
			sb_inventory_clusters(inv, &list, &n, warn, cli, &err) < 0)
		return cli_fail(cli, &err);
	if (opts->json) {
		json_t *json = json_array();

		for (size_t i = 0; i < n; i++)
			json_array_append_new(json,
					cluster_json(&list[i],
							chosen && !strcmp(list[i].name, chosen)));
		status = cli_json(cli, json, EXIT_DONE);
	} else {
		print_list(list, n, chosen);
	}
	for (size_t i = 0; i < n; i++)
		sb_inv_cluster_done(&list[i]);
	free(list);
	return status;
}

static void print_cluster(const struct sb_inv_cluster *c, bool is_default)
{
	printf("%-12s %s\n", "Name:", c->name);
	for (size_t i = 0; i < sb_countof(fields); i++)
		if (!sb_empty(field_of(c, i)))
			printf("%-12s %s\n", fields[i].label, field_of(c, i));
	printf("%-12s %s\n", "Default:", is_default ? "yes" : "no");
	printf("Hosts (%zu):\n", c->n_hosts);
	for (size_t i = 0; i < c->n_hosts; i++)
		printf("  - %s\n", c->hosts[i]);
	if (c->n_executor)
		puts("Executor:");
	for (size_t i = 0; i < c->n_executor; i++)
		printf("  - %s\n", c->executor[i]);
}

static int get(struct cli *cli, const char *name, struct sb_inv_cluster *c, struct sb_err *err)
{
	struct sb_inventory *inv;
	int rc = cli_inventory(cli, &inv, err);

	if (!rc)
		rc = sb_inventory_cluster_get(inv, name, c, err);
	if (rc == -SB_E_NOT_FOUND)
		return sb_err_set(err, SB_E_NOT_FOUND, "Cluster '%s' not found.", name);
	return rc;
}

static int show(struct cli *cli, const char *name, const char *chosen, bool json)
{
	SB_CLEANUP(sb_inv_cluster_done) struct sb_inv_cluster c = { 0 };
	bool is_default = chosen && !strcmp(name, chosen);
	struct sb_err err = SB_ERR_INIT;

	if (get(cli, name, &c, &err) < 0)
		return cli_fail(cli, &err);
	if (json)
		return cli_json(cli, cluster_json(&c, is_default), EXIT_DONE);
	print_cluster(&c, is_default);
	return EXIT_DONE;
}

int cmd_cluster_show(struct cli *cli, const struct call *call)
{
	const struct cluster_opts *opts = call->opts;
	SB_CLEANUP(sb_freep) char *chosen = NULL;
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;

	if (cli_inventory(cli, &inv, &err) < 0 || sb_inventory_default(inv, &chosen, &err) < 0)
		return cli_fail(cli, &err);
	return show(cli, call->args[0], chosen, opts->json);
}

int cmd_cluster_default(struct cli *cli, const struct call *call)
{
	const struct cluster_opts *opts = call->opts;
	SB_CLEANUP(sb_freep) char *chosen = NULL;
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;

	if (cli_inventory(cli, &inv, &err) < 0 || sb_inventory_default(inv, &chosen, &err) < 0)
		return cli_fail(cli, &err);
	if (chosen)
		return show(cli, chosen, chosen, opts->json);
	if (opts->json)
		return cli_json(cli, json_null(), EXIT_DONE);
	puts("No default cluster set.");
	return EXIT_DONE;
}

int cmd_cluster_delete(struct cli *cli, const struct call *call)
{
	const struct cluster_opts *opts = call->opts;
	SB_CLEANUP(sb_inv_cluster_done) struct sb_inv_cluster c = { 0 };
	SB_CLEANUP(sb_freep) char *chosen = NULL;
	struct sb_err err = SB_ERR_INIT;
	bool yes = opts->force;
	char question[128];
	int rc = get(cli, call->args[0], &c, &err);

	snprintf(question, sizeof(question), "Delete cluster '%s'?", call->args[0]);
	if (!rc && !yes)
		rc = cli_confirm(question, &yes, &err);
	if (!rc && !yes) {
		fprintf(stderr, "Aborted!\n");
		return EXIT_FAILED;
	}
	if (!rc)
		rc = sb_inventory_default(cli->inventory, &chosen, &err);
	if (!rc)
		rc = sb_inventory_cluster_remove(cli->inventory, call->args[0], &err);
	/* A default that points nowhere would make every later command fail. */
	if (!rc && chosen && !strcmp(chosen, call->args[0]))
		rc = sb_inventory_set_default(cli->inventory, NULL, &err);
	if (rc < 0)
		return cli_fail(cli, &err);
	printf("Cluster '%s' deleted.\n", call->args[0]);
	return EXIT_DONE;
}

static int set_default(struct cli *cli, const char *name)
{
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;
	int rc = cli_inventory(cli, &inv, &err);

	if (!rc)
		rc = sb_inventory_set_default(inv, name, &err);
	if (rc == -SB_E_NOT_FOUND)
		sb_err_set(&err, SB_E_NOT_FOUND, "Cluster '%s' not found.", name);
	if (rc < 0)
		return cli_fail(cli, &err);
	if (name)
		printf("Default cluster set to '%s'.\n", name);
	else
		puts("Default cluster unset.");
	return EXIT_DONE;
}

int cmd_cluster_set_default(struct cli *cli, const struct call *call)
{
	return set_default(cli, call->args[0]);
}

int cmd_cluster_unset_default(struct cli *cli, const struct call *call)
{
	return set_default(cli, NULL);
}
