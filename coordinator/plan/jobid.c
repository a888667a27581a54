#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Parts are joined by NUL bytes, so that no host name can imitate two. */
static void add_part(struct sb_strbuf *out, const char *name, const char *text)
{
	if (out->len)
		sb_strbuf_addc(out, '\0');
	sb_strbuf_adds(out, name);
	sb_strbuf_adds(out, text);
}

static int add_parallel(struct sb_strbuf *out, const struct sb_workload *w, const char *key,
		const char *name, struct sb_err *err)
{
	int64_t value = 1;
	char text[24];
	int rc = sb_workload_int(w, key, INT32_MIN, INT32_MAX, &value, err);

	if (rc < 0 || value == 1)
		return rc;
	snprintf(text, sizeof(text), "%lld", (long long)value);
	add_part(out, name, text);
	return 0;
}

static int add_parts(struct sb_strbuf *out, const struct sb_workload *w,
		const struct sb_plan_node *nodes, size_t n_nodes, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) const char **hosts = calloc(n_nodes + 1, sizeof(*hosts));
	const struct sb_value *port = sb_workload_config(w, "port");
	const struct sb_value *name = sb_workload_config(w, "served_model_name");
	int rc;

	if (!hosts)
		return sb_err_nomem(err);
	for (size_t i = 0; i < n_nodes; i++)
		hosts[i] = nodes[i].host;
	qsort(hosts, n_nodes, sizeof(*hosts), compare_texts);
	add_part(out, "", sb_workload_runtime(w));
	add_part(out, "", sb_workload_recipe_model(w));
	for (size_t i = 0; i < n_nodes; i++)
		add_part(out, "", hosts[i]);
	if (port)
		add_part(out, "port=", port->text);
	if (name)
		add_part(out, "name=", name->text);
	rc = add_parallel(out, w, "tensor_parallel", "tp=", err);
	return rc < 0 ? rc : add_parallel(out, w, "pipeline_parallel", "pp=", err);
}

int sb_plan_job_id(const struct sb_workload *workload, const struct sb_plan_node *nodes,
		size_t n_nodes, char ret_id[32], struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf parts = SB_STRBUF_INIT;
	unsigned char digest[EVP_MAX_MD_SIZE];
	int rc = add_parts(&parts, workload, nodes, n_nodes, err);

	if (rc < 0)
		return rc;
	if (parts.failed)
		return sb_err_nomem(err);
	if (!EVP_Digest(sb_strbuf_str(&parts), parts.len, digest, NULL, EVP_sha256(), NULL))
		return sb_err_set(err, SB_E_INTERNAL, "SHA-256 failed");
	snprintf(ret_id, 32, "sparkbus_%02x%02x%02x%02x%02x%02x", digest[0], digest[1], digest[2],
			digest[3], digest[4], digest[5]);
	return 0;
}
