/* clusters.c - named groups of hosts, one file each, and which of them is the default. */
#include <stdio.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define CLUSTERS       "clusters"
#define DEFAULT        ".default"
#define NAME_MAX_BYTES 200u /* a file name, with room for the suffix of a temporary */
#define ALNUM          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char *const modes[] = { "auto", "local", "push", "delegated", NULL };
static const char *const interfaces[] = { "auto", "cx7", "mgmt", NULL };
static const char *const topologies[] = { "none", "direct", "switch", "ring", NULL };

#define AT(member) offsetof(struct sb_inv_cluster, member)
static const struct inv_field fields[] = {
	{ "description", INV_TEXT, false, AT(description), NULL },
	{ "user", INV_TEXT, false, AT(user), NULL },
	{ "cache_dir", INV_TEXT, false, AT(cache_dir), NULL },
	{ "transfer_mode", INV_TEXT, false, AT(transfer_mode), modes },
	{ "transfer_interface", INV_TEXT, false, AT(transfer_interface), interfaces },
	{ "topology", INV_TEXT, false, AT(topology), topologies },
};

static bool name_ok(const char *name)
{
	size_t len = name ? strnlen(name, NAME_MAX_BYTES + 1) : 0;

	return len > 0 && len <= NAME_MAX_BYTES && strchr(ALNUM, name[0]) &&
			strspn(name, ALNUM "_-") == len;
}

static int check_name(const char *name, struct sb_err *err)
{
	if (name_ok(name))
		return 0;
	return sb_err_set(err, SB_E_INVALID,
			"\"%s\" is not a cluster name: A-Z a-z 0-9 _ -, beginning with a letter or "
			"digit",
			name ? name : "");
}

static void free_texts(char **list)
{
	for (char **item = list; item && *item; item++)
		free(*item);
	free(list);
}

void sb_inv_cluster_done(struct sb_inv_cluster *cluster)
{
	free(cluster->name);
	for (size_t i = 0; i < sb_countof(fields); i++)
		free(*(char **)((char *)cluster + fields[i].at));
	free_texts(cluster->hosts);
	free_texts(cluster->executor);
	*cluster = (struct sb_inv_cluster){ 0 };
}

/* --- reading --- */

/* An array for the items of @node, checked to be @type or absent and within the cap. */
static int new_texts(const struct sb_yaml_doc *doc, const struct sb_yaml_node *node,
		enum sb_yaml_type type, const char *what, char ***ret, struct sb_err *err)
{
	char **list;
	int rc;

	if (sb_yaml_type(node) != SB_YAML_NULL) {
		rc = sb_yaml_expect(doc, node, type, what, err);
		if (rc < 0)
			return rc;
	}
	if (sb_yaml_size(node) > INV_HOSTS_MAX)
		return sb_yaml_err(doc, node, err, "%s: more than %u", what, INV_HOSTS_MAX);
	list = calloc(sb_yaml_size(node) + 1, sizeof(*list));
	if (!list)
		return sb_err_nomem(err);
	*ret = list;
	return 0;
}

static int read_hosts(const struct sb_yaml_doc *doc, struct sb_inv_cluster *c, struct sb_err *err)
{
	const struct sb_yaml_node *node = sb_yaml_get(sb_yaml_root(doc), "hosts");
	int rc = new_texts(doc, node, SB_YAML_LIST, "hosts", &c->hosts, err);

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(node); i++) {
		const struct sb_yaml_node *item = sb_yaml_at(node, i);

		rc = inv_take_text(doc, item, "host", &c->hosts[c->n_hosts], err);
		if (rc == 0 && sb_empty(c->hosts[c->n_hosts]))
			rc = sb_yaml_err(doc, item, err, "host: empty");
		if (rc == 0)
			c->n_hosts++;
	}
	return rc;
}

/* A value of the executor is one word or text; recipes have lists too, "key=value" has not. */
static int read_executor(
		const struct sb_yaml_doc *doc, struct sb_inv_cluster *c, struct sb_err *err)
{
	const struct sb_yaml_node *node = sb_yaml_get(sb_yaml_root(doc), "executor_config");
	int rc = new_texts(doc, node, SB_YAML_MAP, "executor_config", &c->executor, err);

	for (size_t i = 0; rc == 0 && i < sb_yaml_size(node); i++) {
		const struct sb_yaml_node *key = sb_yaml_key(node, i);
		SB_CLEANUP(sb_freep) char *value = NULL;

		if (sb_empty(sb_yaml_str(key)) || strchr(sb_yaml_str(key), '='))
			return sb_yaml_err(doc, key, err, "executor_config: not a setting's name");
		rc = inv_take_text(doc, sb_yaml_at(node, i), sb_yaml_str(key), &value, err);
		if (rc < 0)
			return rc;
		if (asprintf(&c->executor[c->n_executor], "%s=%s", sb_yaml_str(key),
				    value ? value : "") < 0) {
			c->executor[c->n_executor] = NULL;
			return sb_err_nomem(err);
		}
		c->n_executor++;
	}
	return rc;
}

static int check_own_name(const struct sb_yaml_doc *doc, const char *name, struct sb_err *err)
{
	const struct sb_yaml_node *node = sb_yaml_get(sb_yaml_root(doc), "name");

	if (sb_yaml_type(node) == SB_YAML_NULL || strcmp(sb_yaml_str(node), name) == 0)
		return 0;
	return sb_yaml_err(doc, node, err, "name: the file says it is \"%s\"", name);
}

int sb_inventory_cluster_get(struct sb_inventory *inv, const char *name, struct sb_inv_cluster *ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	SB_CLEANUP(sb_inv_cluster_done) struct sb_inv_cluster c = { 0 };
	int rc = check_name(name, err);

	if (rc == 0)
		rc = inv_load(inv, CLUSTERS, name, &doc, err);
	if (rc == -SB_E_NOT_FOUND)
		return sb_err_set(err, SB_E_NOT_FOUND, "no cluster is called %s", name);
	if (rc == 0)
		rc = check_own_name(doc, name, err);
	if (rc == 0)
		rc = inv_read_fields(doc, fields, sb_countof(fields), &c, err);
	if (rc == 0)
		rc = read_hosts(doc, &c, err);
	if (rc == 0)
		rc = read_executor(doc, &c, err);
	if (rc < 0)
		return rc;
	c.name = strdup(name);
	if (!c.name)
		return sb_err_nomem(err);
	*ret = c;
	c = (struct sb_inv_cluster){ 0 };
	return 0;
}

int sb_inventory_clusters(struct sb_inventory *inv, struct sb_inv_cluster **ret, size_t *ret_n,
		void (*warn)(void *ctx, const char *text), void *ctx, struct sb_err *err)
{
	struct sb_inv_cluster *clusters;
	struct sb_err why;
	char **names = NULL;
	size_t n_names = 0, n = 0;
	int rc = inv_list(inv, CLUSTERS, &names, &n_names, err);

	if (rc < 0)
		return rc;
	clusters = calloc(n_names + 1, sizeof(*clusters));
	for (size_t i = 0; clusters && i < n_names; i++) {
		rc = sb_inventory_cluster_get(inv, names[i], &clusters[n], &why);
		if (rc == 0)
			n++;
		else
			inv_warn(warn, ctx, &why);
	}
	inv_free_list(names, n_names);
	if (!clusters)
		return sb_err_nomem(err);
	*ret = clusters;
	*ret_n = n;
	return 0;
}

/* --- writing --- */

static int host_index(const struct sb_inv_cluster *c, const char *host)
{
	size_t i = 0;

	while (i < c->n_hosts && strcmp(c->hosts[i], host))
		i++;
	return (int)i;
}

static int write_hosts(struct sb_strbuf *out, const struct sb_inv_cluster *c, struct sb_err *err)
{
	if (!c->n_hosts)
		return sb_err_set(err, SB_E_INVALID, "No hosts provided.");
	if (c->n_hosts > INV_HOSTS_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %u hosts", INV_HOSTS_MAX);
	sb_strbuf_adds(out, "hosts:\n");
	for (size_t i = 0; i < c->n_hosts; i++) {
		const char *host = c->hosts[i];

		if (!*host || strlen(host) > INV_TEXT_MAX || strpbrk(host, " \t\r\n,"))
			return sb_err_set(err, SB_E_INVALID, "\"%.64s\" is not a host", host);
		if ((size_t)host_index(c, host) != i)
			return sb_err_set(err, SB_E_INVALID, "host %s is there twice", host);
		sb_strbuf_adds(out, "  - ");
		sb_yaml_write_scalar(out, host);
		sb_strbuf_addc(out, '\n');
	}
	return 0;
}

static int write_executor(struct sb_strbuf *out, const struct sb_inv_cluster *c, struct sb_err *err)
{
	if (c->n_executor > INV_HOSTS_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %u executor settings", INV_HOSTS_MAX);
	if (c->n_executor)
		sb_strbuf_adds(out, "executor_config:\n");
	for (size_t i = 0; i < c->n_executor; i++) {
		const char *line = c->executor[i], *equals = strchr(line, '=');
		SB_CLEANUP(sb_freep) char *key = NULL;

		if (!equals || equals == line || strlen(equals + 1) > INV_TEXT_MAX)
			return sb_err_set(err, SB_E_INVALID,
					"executor setting \"%.64s\": expected key=value", line);
		key = strndup(line, (size_t)(equals - line));
		if (!key)
			return sb_err_nomem(err);
		sb_strbuf_adds(out, "  ");
		sb_yaml_write_scalar(out, key);
		sb_strbuf_adds(out, ": ");
		sb_yaml_write_scalar(out, equals + 1);
		sb_strbuf_addc(out, '\n');
	}
	return 0;
}

int sb_inventory_cluster_put(
		struct sb_inventory *inv, const struct sb_inv_cluster *c, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc = check_name(c->name, err);

	if (rc < 0)
		return rc;
	sb_strbuf_adds(&text, "name: ");
	sb_yaml_write_scalar(&text, c->name);
	sb_strbuf_addc(&text, '\n');
	rc = write_hosts(&text, c, err);
	if (rc == 0)
		rc = inv_write_fields(&text, fields, sb_countof(fields), c, err);
	if (rc == 0)
		rc = write_executor(&text, c, err);
	if (rc == 0)
		rc = inv_built(&text, err);
	if (rc == 0)
		rc = inv_lock(inv, &lock, err);
	return rc < 0 ? rc : inv_write(inv, CLUSTERS, c->name, ".yaml", sb_strbuf_str(&text), err);
}

static int check_exists(const char *path, const char *name, struct sb_err *err)
{
	if (access(path, F_OK) == 0)
		return 0;
	if (errno != ENOENT)
		return sb_err_errno(err, errno, "%s", path);
	return sb_err_set(err, SB_E_NOT_FOUND, "no cluster is called %s", name);
}

int sb_inventory_cluster_remove(struct sb_inventory *inv, const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = inv_path(inv, CLUSTERS, name ? name : "", ".yaml");
	SB_CLEANUP(sb_freep) char *mark = inv_path(inv, CLUSTERS, DEFAULT, "");
	SB_CLEANUP(sb_freep) char *chosen = NULL;
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc = check_name(name, err);

	if (!path || !mark)
		return sb_err_nomem(err);
	if (rc == 0)
		rc = inv_lock(inv, &lock, err);
	if (rc == 0)
		rc = check_exists(path, name, err);
	if (rc < 0)
		return rc;
	/* First the mark: a crash between the two leaves a cluster that is no default. */
	if (sb_inventory_default(inv, &chosen, NULL) == 0 && chosen && strcmp(chosen, name) == 0)
		rc = sb_fs_remove(mark, err);
	return rc < 0 ? rc : sb_fs_remove(path, err);
}

int sb_inventory_default(struct sb_inventory *inv, char **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *name = NULL;
	int rc = inv_read(inv, CLUSTERS, DEFAULT, "", &name, err);

	if (rc == -SB_E_NOT_FOUND) {
		*ret = NULL;
		return 0;
	}
	if (rc < 0)
		return rc;
	name[strcspn(name, "\r\n")] = '\0';
	rc = check_name(name, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "%s/" CLUSTERS "/" DEFAULT, inv->home);
	*ret = sb_steal(name);
	return 0;
}

int sb_inventory_set_default(struct sb_inventory *inv, const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *path = inv_path(inv, CLUSTERS, name ? name : "", ".yaml");
	SB_CLEANUP(sb_freep) char *mark = inv_path(inv, CLUSTERS, DEFAULT, "");
	SB_CLEANUP(sb_freep) char *line = NULL;
	SB_CLEANUP(sb_closep) int lock = -1;
	int rc = name ? check_name(name, err) : 0;

	if (!path || !mark)
		return sb_err_nomem(err);
	if (rc == 0)
		rc = inv_lock(inv, &lock, err);
	if (rc < 0)
		return rc;
	if (!name)
		return sb_fs_remove(mark, err);
	rc = check_exists(path, name, err);
	if (rc < 0)
		return rc;
	if (asprintf(&line, "%s\n", name) < 0) {
		line = NULL;
		return sb_err_nomem(err);
	}
	return inv_write(inv, CLUSTERS, DEFAULT, "", line, err);
}
