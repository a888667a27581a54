/* vllm_ray.c - vLLM over Ray: one server, on the head, which spreads its workers over a Ray
 * cluster. The head starts Ray, waits until every node is in, then becomes the server; the other
 * ranks are Ray nodes and nothing else. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define RAY_PORT 46379
/* Ray is up after its imports, which take minutes from a cold page cache. */
#define GATE_TIMEOUT_MS ((uint64_t)5 * 60 * 1000)
/* From then on, for the other nodes to do the same. */
#define JOIN_TIMEOUT_S 300
#define BACKEND        "--distributed-executor-backend"

const struct sb_env sb_vllm_ray_env[] = {
	{ "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0" },
	/* Its guard against a full memory kills vLLM's workers, as it counts the GPU's share. */
	{ "RAY_memory_monitor_refresh_ms", "0" },
	{ 0 },
};

/* Called with the number of nodes, a limit in seconds, the words that start Ray, "--" and the words
 * that serve. vLLM asks Ray once what there is, and fails if a node is missing: so it is started
 * when all are in. Only "ray status" tells; nodes are in its first sections, one a line, and those
 * that come or failed are in others. The list of names is for vLLM: it would give its own value of
 * them to the other nodes, which have theirs. */
static const char head_script[] =
		"nodes=$1 limit=$2\n"
		"shift 2\n"
		"trap 'exit 143' TERM INT HUP QUIT\n"
		"dir=${VLLM_CONFIG_ROOT:-${XDG_CONFIG_HOME:-${HOME:-/tmp}/.config}/vllm}\n"
		"own=$dir/ray_non_carry_over_env_vars.json\n"
		"[ -e \"$own\" ] || { mkdir -p \"$dir\" && echo '[\"GLOO_SOCKET_IFNAME\", "
		"\"MN_IF_NAME\", \"NCCL_IB_GID_INDEX\", \"NCCL_IB_HCA\", \"NCCL_SOCKET_IFNAME\", "
		"\"NODE_IP\", \"OMPI_MCA_btl_tcp_if_include\", \"TP_SOCKET_IFNAME\", "
		"\"UCX_NET_DEVICES\"]' >\"$own\"; } ||\n"
		"\techo \"sparkbus: $own: not written; network settings must be the same on every "
		"node\" >&2\n"
		"start=()\n"
		"while [ \"$1\" != -- ]; do start+=(\"$1\"); shift; done\n"
		"shift\n"
		"\"${start[@]}\" || exit\n"
		"count() {\n"
		"\tthere=0\n"
		"\tlocal line in=\n"
		"\twhile read -r line; do\n"
		"\t\tcase $line in\n"
		"\t\tActive: | Healthy: | Idle:) in=1 ;;\n"
		"\t\t*:) in= ;;\n"
		"\t\t[0-9]*' node_'*) [ -z \"$in\" ] || there=$((there + 1)) ;;\n"
		"\t\tesac\n"
		"\tdone < <(timeout 20 ray status 2>/dev/null)\n"
		"}\n"
		"SECONDS=0\n"
		"while count; [ \"$there\" -lt \"$nodes\" ]; do\n"
		"\tif [ \"$SECONDS\" -ge \"$limit\" ]; then\n"
		"\t\techo \"sparkbus: $there of $nodes Ray nodes are there after $limit s; see the "
		"logs of the other ranks\" >&2\n"
		"\t\texit 1\n"
		"\tfi\n"
		"\tsleep 1 &\n"
		"\twait $!\n"
		"done\n"
		"exec \"$@\"\n";

int sb_vllm_ray_required(const struct sb_workload *w, unsigned *ret, struct sb_err *err)
{
	unsigned replicas = 1;
	int rc = sb_parallel_of(w, "data_parallel", &replicas, err);

	if (rc < 0)
		return rc;
	if (replicas == 1)
		return sb_parallel_required(w, ret, err);
	rc = sb_workload_err(w, "defaults.data_parallel", SB_E_INVALID, err,
			"[vllm-ray] data_parallel > 1 is not yet supported with the Ray backend");
	return sb_err_hint(err, rc,
			"switch to the vllm-distributed runtime (unset "
			"distributed_executor_backend=ray) or set data_parallel=1");
}

int sb_vllm_ray_serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err)
{
	static const char *const solo[] = { "tensor_parallel", NULL };
	static const char *const cluster[] = { "tensor_parallel", "distributed_executor_backend",
		NULL };
	const struct sb_workload *w = launch->workload;
	bool has_template = false, several = launch->n > 1;
	int rc = sb_template_add(w, out, &has_template, diags, err);

	if (rc < 0)
		return rc;
	if (!has_template) {
		sb_vllm_generate(w, several ? " " BACKEND " ray" : "", several ? cluster : solo,
				out);
	} else {
		if (several && !strstr(sb_strbuf_str(out), BACKEND))
			sb_strbuf_adds(out, " " BACKEND " ray");
		sb_served_name_add(w, "--served-model-name", out);
	}
	return out->failed ? sb_err_nomem(err) : 0;
}

static int add_all(struct sb_words *words, const char *const *texts, size_t n)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = sb_words_add_marked(words, texts[i], SB_MARK_RANK);
	return rc;
}

static unsigned port_of(const struct sb_launch *launch)
{
	return launch->ray_port ? launch->ray_port : RAY_PORT;
}

/* Whoever reaches the dashboard may run jobs, so it is only where the head is known by. */
static int add_dashboard(const struct sb_launch *launch, struct sb_rank_part *ret)
{
	char port[8];
	const char *const words[] = { "--include-dashboard=True", "--dashboard-host",
		launch->addresses[0], "--dashboard-port", port };

	if (!launch->dashboard_port)
		return 0;
	snprintf(port, sizeof(port), "%u", launch->dashboard_port);
	sb_rank_part_port(ret, launch->dashboard_port);
	return add_all(&ret->before, words, sb_countof(words));
}

static int be_head(const struct sb_launch *launch, struct sb_rank_part *ret)
{
	char nodes[24], limit[24], port[24];
	const char *const words[] = { "bash", "--noprofile", "--norc", "-c", head_script,
		"sparkbus", nodes, limit, "ray", "start", "--head", "--port", port,
		"--node-ip-address", launch->addresses[0] };
	const char *const last[] = { "--disable-usage-stats", "--" };
	int rc;

	snprintf(nodes, sizeof(nodes), "%zu", launch->n);
	snprintf(limit, sizeof(limit), "%d", JOIN_TIMEOUT_S);
	snprintf(port, sizeof(port), "%u", port_of(launch));
	sb_rank_part_port(ret, (uint16_t)port_of(launch));
	ret->gate_port = (uint16_t)port_of(launch);
	ret->gate_timeout_ms = GATE_TIMEOUT_MS;
	rc = add_all(&ret->before, words, sb_countof(words));
	if (rc == 0)
		rc = add_dashboard(launch, ret);
	return rc < 0 ? rc : add_all(&ret->before, last, sb_countof(last));
}

int sb_vllm_ray_rank(const struct sb_launch *launch, unsigned rank, const struct sb_strbuf *base,
		const struct sb_words *words, struct sb_rank_part *ret, struct sb_err *err)
{
	int rc = 0;

	ret->init = launch->n > 1; /* Ray leaves processes behind, for process 1 to collect */
	ret->stage = rank ? 1 : 0;
	if (rank) {
		sb_strbuf_addf(&ret->serve,
				"ray start --block --address=%s:%u --node-ip-address %s",
				launch->addresses[0], port_of(launch), launch->addresses[rank]);
	} else {
		sb_strbuf_add_part(&ret->serve, base, 0, base->len);
		sb_rank_part_port(ret, sb_words_port(words, sb_vllm_endpoint.port));
		rc = launch->n > 1 ? be_head(launch, ret) : 0;
	}
	return rc < 0 || ret->serve.failed ? sb_err_nomem(err) : 0;
}

const struct sb_runtime sb_runtime_vllm_ray = {
	.name = "vllm-ray",
	.default_image = SB_VLLM_IMAGE,
	.family = "vllm",
	.naming = SB_NAMING_ROLE,
	.env = sb_vllm_env,
	.cluster_env = sb_vllm_ray_env,
	.api_key_env = "VLLM_API_KEY",
	.required = sb_vllm_ray_required,
	.serve = sb_vllm_ray_serve,
	.rank = sb_vllm_ray_rank,
	.ready = sb_vllm_ready,
};
