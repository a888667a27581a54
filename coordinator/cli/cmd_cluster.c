/* Saved clusters: create and update. */
#include <string.h>

#include "commands.h"

#define CLUSTER_OPT(member) offsetof(struct cluster_opts, member)
#define COMMON_ROWS                                                                                \
	{ OPT_TEXT, 'H', "hosts", NULL, "A,B", "nodes by name or address; the first is the head",  \
		CLUSTER_OPT(hosts) },                                                              \
			{ OPT_TEXT, 0, "hosts-file", NULL, "FILE",                                 \
				"one node per line; # starts a comment",                           \
				CLUSTER_OPT(hosts_file) },                                         \
			{ OPT_TEXT, 'd', "description", NULL, "TEXT", "what the cluster is",       \
				CLUSTER_OPT(description) },                                        \
			{ OPT_TEXT, 'u', "user", NULL, "NAME", "user on the nodes",                \
				CLUSTER_OPT(user) },                                               \
			{ OPT_TEXT, 0, "cache-dir", NULL, "DIR",                                   \
				"folder of the model cache on the nodes",                          \
				CLUSTER_OPT(cache_dir) },                                          \
			{ OPT_TEXT, 0, "transfer-mode", NULL, "MODE",                              \
				"auto, local, push or delegated", CLUSTER_OPT(transfer_mode) },    \
			{ OPT_TEXT, 0, "transfer-interface", NULL, "WHICH", "auto, cx7 or mgmt",   \
				CLUSTER_OPT(transfer_interface) },                                 \
			{ OPT_TEXT, 0, "topology", NULL, "KIND", "none, direct, switch or ring",   \
				CLUSTER_OPT(topology) },                                           \
			{ OPT_LIST, 0, "executor", NULL, "KEY=VALUE",                              \
				"container setting for every job here (repeat; KEY takes it "      \
				"back)",                                                           \
				CLUSTER_OPT(executor) },                                           \
	{                                                                                          \
		OPT_FLAG, 0, "default", NULL, NULL, "make it the default cluster",                 \
				CLUSTER_OPT(make_default)                                          \
	}

const struct opt cluster_create_options[] = { COMMON_ROWS, { OPT_END } };
const struct opt cluster_update_options[] = {
	COMMON_ROWS,
	{ OPT_LIST, 0, "add-host", NULL, "A,B", "add nodes (repeat)", CLUSTER_OPT(add_host) },
	{ OPT_LIST, 0, "remove-host", NULL, "A,B", "take nodes out (repeat)",
			CLUSTER_OPT(remove_host) },
	{ OPT_END },
};

/* Options whose value is one of a few words. */
static const struct choice {
	const char *option;
	size_t at;
	const char *words[5];
} choices[] = {
	{ "transfer-mode", CLUSTER_OPT(transfer_mode), { "auto", "local", "push", "delegated" } },
	{ "transfer-interface", CLUSTER_OPT(transfer_interface), { "auto", "cx7", "mgmt" } },
	{ "topology", CLUSTER_OPT(topology), { "none", "direct", "switch", "ring" } },
};

static int check_choices(const struct call *call)
{
	for (size_t i = 0; i < sb_countof(choices); i++) {
		const char *value =
				*(const char *const *)((const char *)call->opts + choices[i].at);
		bool known = !value;

		for (size_t k = 0; choices[i].words[k] && !known; k++)
			known = !strcmp(value, choices[i].words[k]);
		if (!known)
			return cli_usage(call, "--%s: '%s' is not one of its words (see --help)",
					choices[i].option, value);
	}
	return EXIT_DONE;
}

static bool name_ok(const char *name)
{
	static const char letters[] =
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	return *name && *name != '_' && *name != '-' && !name[strspn(name, letters)];
}

static int set_text(char **at, const char *value, struct sb_err *err)
{
	char *copy;

	if (!value)
		return 0;
	copy = *value ? strdup(value) : NULL;
	if (*value && !copy)
		return sb_err_nomem(err);
	free(*at);
	*at = copy;
	return 0;
}

static bool in_list(char *const *list, size_t n, const char *text, size_t *ret_at)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i], text)) {
			if (ret_at)
				*ret_at = i;
			return true;
		}
	}
	return false;
}

/* Lists of a cluster end in NULL. */
static int append(char ***list, size_t *n, const char *text, struct sb_err *err)
{
	char **grown = reallocarray(*list, *n + 2, sizeof(*grown));

	if (!grown)
		return sb_err_nomem(err);
	*list = grown;
	grown[*n] = strdup(text);
	if (!grown[*n])
		return sb_err_nomem(err);
	grown[++*n] = NULL;
	return 0;
}

static void take_out(char **list, size_t *n, size_t at)
{
	free(list[at]);
	memmove(list + at, list + at + 1, (*n - at) * sizeof(*list));
	--*n;
}

static int add_hosts(struct cli *cli, struct sb_inv_cluster *c, char **hosts, size_t n,
		struct sb_err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct sb_inv_node node = { 0 };
		int rc = hosts_find(cli, hosts[i], &node, err);

		if (rc < 0)
			return rc;
		sb_inv_node_done(&node);
		if (in_list(c->hosts, c->n_hosts, hosts[i], NULL))
			continue;
		rc = append(&c->hosts, &c->n_hosts, hosts[i], err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int replace_hosts(struct cli *cli, const struct cluster_opts *opts, struct sb_inv_cluster *c,
		struct sb_err *err)
{
	const struct host_opts given = { .hosts = opts->hosts, .hosts_file = opts->hosts_file };
	char **list = NULL;
	size_t n = 0;
	int rc = hosts_given(&given, &list, &n, err);

	while (!rc && n && c->n_hosts)
		take_out(c->hosts, &c->n_hosts, c->n_hosts - 1);
	if (!rc)
		rc = add_hosts(cli, c, list, n, err);
	free_list(list, n);
	return rc;
}

static int change_hosts(struct cli *cli, const struct cluster_opts *opts, struct sb_inv_cluster *c,
		struct sb_err *err)
{
	char **add = NULL, **out = NULL;
	size_t n_add = 0, n_out = 0, at;
	int rc = 0;

	for (size_t i = 0; !rc && i < opts->add_host.n; i++)
		rc = split_list(opts->add_host.items[i], &add, &n_add, err);
	for (size_t i = 0; !rc && i < opts->remove_host.n; i++)
		rc = split_list(opts->remove_host.items[i], &out, &n_out, err);
	if (!rc)
		rc = add_hosts(cli, c, add, n_add, err);
	for (size_t i = 0; !rc && i < n_out; i++) {
		if (in_list(c->hosts, c->n_hosts, out[i], &at))
			take_out(c->hosts, &c->n_hosts, at);
		else
			cli_warn(cli, "host '%s' is not in the cluster", out[i]);
	}
	if (!rc && !c->n_hosts)
		rc = sb_err_set(err, SB_E_INVALID, "Cannot remove all hosts from a cluster.");
	free_list(add, n_add);
	free_list(out, n_out);
	return rc;
}

static int set_executor(
		const struct cluster_opts *opts, struct sb_inv_cluster *c, struct sb_err *err)
{
	for (size_t i = 0; i < opts->executor.n; i++) {
		const char *text = opts->executor.items[i];
		size_t key = strcspn(text, "=");
		int rc = 0;

		if (!key)
			return sb_err_set(err, SB_E_INVALID,
					"--executor must be key=value, got: %s", text);
		for (size_t k = 0; k < c->n_executor; k++) {
			if (strncmp(c->executor[k], text, key) != 0 || c->executor[k][key] != '=')
				continue;
			take_out(c->executor, &c->n_executor, k);
			break;
		}
		if (text[key]) /* "gpus=" is a setting, too: none; a bare "gpus" only takes it back
				*/
			rc = append(&c->executor, &c->n_executor, text, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int set_fields(const struct cluster_opts *opts, struct sb_inv_cluster *c, struct sb_err *err)
{
	const char *topology = opts->topology;
	int rc = set_text(&c->description, opts->description, err);

	if (topology && !strcmp(topology, "none"))
		topology = "";
	else if (topology && !strcmp(topology, "direct"))
		topology = "switch"; /* two nodes on a cable are what a switch with two ports is */
	if (!rc)
		rc = set_text(&c->user, opts->user, err);
	if (!rc)
		rc = set_text(&c->cache_dir, opts->cache_dir, err);
	if (!rc)
		rc = set_text(&c->transfer_mode, opts->transfer_mode, err);
	if (!rc)
		rc = set_text(&c->transfer_interface, opts->transfer_interface, err);
	if (!rc)
		rc = set_text(&c->topology, topology, err);
	return rc ? rc : set_executor(opts, c, err);
}

static int save(struct sb_inventory *inv, const struct cluster_opts *opts,
		const struct sb_inv_cluster *c, struct sb_err *err)
{
	int rc = sb_inventory_cluster_put(inv, c, err);

	if (!rc && opts->make_default)
		rc = sb_inventory_set_default(inv, c->name, err);
	return rc;
}

static int create(struct cli *cli, const char *name, const struct cluster_opts *opts,
		struct sb_inv_cluster *c, struct sb_err *err)
{
	struct sb_inventory *inv;
	int rc = cli_inventory(cli, &inv, err);

	if (rc < 0)
		return rc;
	if (!name_ok(name))
		return sb_err_set(err, SB_E_INVALID,
				"'%s' cannot be a cluster's name: letters, digits, _ and -", name);
	rc = sb_inventory_cluster_get(inv, name, c, err);
	if (!rc)
		return sb_err_set(err, SB_E_BUSY, "Cluster '%s' already exists.", name);
	if (rc != -SB_E_NOT_FOUND)
		return rc;
	if (!opts->hosts && !opts->hosts_file)
		return sb_err_set(err, SB_E_INVALID, "No hosts provided.");
	rc = set_text(&c->name, name, err);
	if (!rc)
		rc = replace_hosts(cli, opts, c, err);
	if (!rc)
		rc = set_fields(opts, c, err);
	return rc ? rc : save(inv, opts, c, err);
}

int cmd_cluster_create(struct cli *cli, const struct call *call)
{
	const struct cluster_opts *opts = call->opts;
	SB_CLEANUP(sb_inv_cluster_done) struct sb_inv_cluster c = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int status = check_choices(call);

	if (status != EXIT_DONE)
		return status;
	if (create(cli, call->args[0], opts, &c, &err) < 0)
		return cli_fail(cli, &err);
	printf("Cluster '%s' created with %zu host(s).\n", c.name, c.n_hosts);
	if (opts->make_default)
		printf("Default cluster set to '%s'.\n", c.name);
	return EXIT_DONE;
}

static int update(struct cli *cli, const char *name, const struct cluster_opts *opts,
		struct sb_inv_cluster *c, struct sb_err *err)
{
	bool replace = opts->hosts || opts->hosts_file,
	     change = opts->add_host.n || opts->remove_host.n;
	struct sb_inventory *inv;
	int rc = cli_inventory(cli, &inv, err);

	if (replace && change)
		return sb_err_set(err, SB_E_INVALID,
				"--hosts replaces the hosts; it does not go with --add-host or "
				"--remove-host");
	if (!rc)
		rc = sb_inventory_cluster_get(inv, name, c, err);
	if (rc == -SB_E_NOT_FOUND)
		return sb_err_set(err, SB_E_NOT_FOUND, "Cluster '%s' not found.", name);
	if (!rc && replace)
		rc = replace_hosts(cli, opts, c, err);
	if (!rc && change)
		rc = change_hosts(cli, opts, c, err);
	if (!rc)
		rc = set_fields(opts, c, err);
	return rc ? rc : save(inv, opts, c, err);
}

static bool nothing_given(const struct cluster_opts *opts)
{
	return !opts->hosts && !opts->hosts_file && !opts->description && !opts->user &&
			!opts->cache_dir && !opts->transfer_mode && !opts->transfer_interface &&
			!opts->topology && !opts->add_host.n && !opts->remove_host.n &&
			!opts->executor.n && !opts->make_default;
}

int cmd_cluster_update(struct cli *cli, const struct call *call)
{
	const struct cluster_opts *opts = call->opts;
	SB_CLEANUP(sb_inv_cluster_done) struct sb_inv_cluster c = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int status = check_choices(call);

	if (status != EXIT_DONE)
		return status;
	if (nothing_given(opts)) {
		sb_err_set(&err, SB_E_INVALID, "Nothing to update.");
		return cli_fail(cli, &err);
	}
	if (update(cli, call->args[0], opts, &c, &err) < 0)
		return cli_fail(cli, &err);
	printf("Cluster '%s' updated", c.name);
	if (opts->hosts || opts->hosts_file || opts->add_host.n || opts->remove_host.n) {
		printf(" (%zu hosts: ", c.n_hosts);
		for (size_t i = 0; i < c.n_hosts; i++)
			printf("%s%s", i ? ", " : "", c.hosts[i]);
		putchar(')');
	}
	puts(".");
	if (opts->make_default)
		printf("Default cluster set to '%s'.\n", c.name);
	return EXIT_DONE;
}
