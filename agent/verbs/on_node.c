/* on_node.c - ping and get_node: what this node is, has and runs. */
#include <string.h>

#include "internal.h"

#define JOBS_LISTED 256

HANDLER(on_ping)
{
	Sparkbus__PingReply reply = SPARKBUS__PING_REPLY__INIT;

	reply.version = (char *)SB_VERSION;
	sb_call_reply(call, &reply.base);
	return 0;
}

/* The engine is asked for its version and its folder; then the answer is put together. */
struct look {
	struct sb_agent *agent;
	struct sb_call *call;
	bool running_only;
	Sparkbus__EngineState engine;
	char *version, *api_version, *root_dir, *error;
};

static void look_free(struct look *look)
{
	free(look->version);
	free(look->api_version);
	free(look->root_dir);
	free(look->error);
	free(look);
}

static size_t fill_disks(struct look *look, Sparkbus__Disk *disks, Sparkbus__Disk **list)
{
	const struct {
		const char *purpose, *path;
	} wanted[] = {
		{ "state", look->agent->config.state_dir },
		{ "models", look->agent->config.hf_cache },
		{ "images", look->root_dir },
	};
	size_t n = 0;

	for (size_t i = 0; i < sb_countof(wanted); i++) {
		sparkbus__disk__init(&disks[n]);
		if (sb_empty(wanted[i].path) ||
				sb_node_disk(wanted[i].path, &disks[n].total_bytes,
						&disks[n].free_bytes, NULL) < 0)
			continue;
		disks[n].purpose = (char *)wanted[i].purpose;
		disks[n].path = (char *)wanted[i].path;
		list[n] = &disks[n];
		n++;
	}
	return n;
}

static void answer(struct look *look)
{
	struct sb_agent *agent = look->agent;
	Sparkbus__NodeState state = SPARKBUS__NODE_STATE__INIT;
	const Sparkbus__JobStatus *jobs[JOBS_LISTED];
	Sparkbus__Disk disks[3], *disk_list[3];

	sb_node_fill(agent->node, &state);
	state.name = agent->identity.name;
	state.agent_version = (char *)SB_VERSION;
	state.protocol = SB_PROTOCOL;
	state.agent_uptime_ms = sb_now_boot_ms() - agent->started_boot_ms;
	state.engine = &look->engine;
	state.disks = disk_list;
	state.n_disks = fill_disks(look, disks, disk_list);
	state.n_jobs = sb_jobs_list(agent->jobs, look->running_only, jobs, sb_countof(jobs));
	state.jobs = (Sparkbus__JobStatus **)jobs;
	state.cert_serial = agent->cert_serial;
	state.cert_not_after_unix_ms = (uint64_t)agent->identity.not_after_unix_s * 1000;
	state.operator_crl_number = agent->operator_crl_number;
	state.node_crl_number = agent->node_crl_number;
	state.hf_cache = agent->config.hf_cache;
	state.control_port = agent->config.control_port;
	state.peer_port = agent->config.peer_port;
	sb_call_reply(look->call, &state.base);
	look_free(look);
}

static void engine_away(struct look *look, const struct sb_err *err)
{
	look->error = strdup(err->text);
	look->engine.error = look->error ?: (char *)"out of memory";
	answer(look);
}

static void on_info(void *ctx, const struct sb_engine_info *info, const struct sb_err *err)
{
	struct look *look = ctx;

	if (err) {
		engine_away(look, err);
		return;
	}
	look->root_dir = strdup(info->root_dir);
	look->engine.reachable = true;
	if (look->root_dir)
		look->engine.root_dir = look->root_dir;
	answer(look);
}

static void on_version(void *ctx, const struct sb_engine_version *version, const struct sb_err *err)
{
	struct look *look = ctx;
	struct sb_engine *engine = look->agent->engine;
	struct sb_engine_call *op;
	struct sb_err own = SB_ERR_INIT;

	if (err) {
		engine_away(look, err);
		return;
	}
	look->version = strdup(version->version);
	look->api_version = strdup(version->api_version);
	if (look->version)
		look->engine.version = look->version;
	if (look->api_version)
		look->engine.api_version = look->api_version;
	if (engine->ops->info(engine, on_info, look, &op, &own) < 0)
		engine_away(look, &own);
}

HANDLER(on_get_node)
{
	const Sparkbus__GetNodeRequest *request = (const Sparkbus__GetNodeRequest *)body;
	struct sb_engine *engine = ((struct sb_agent *)agent)->engine;
	struct look *look = calloc(1, sizeof(*look));
	struct sb_engine_call *op;
	struct sb_err own = SB_ERR_INIT;

	if (!look)
		return sb_err_nomem(err);
	look->agent = agent;
	look->call = call;
	look->running_only = request->running_only;
	sparkbus__engine_state__init(&look->engine);
	if (engine->ops->version(engine, on_version, look, &op, &own) < 0)
		engine_away(look, &own);
	return 0;
}
