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

/* --- the engine, as last seen ---
 *
 * The jobs hold a stream of the engine's events open, so whether it is there is known at any time.
 * What it is changes only when it comes back, and is asked for then: a status must not wait for
 * the engine, least of all for one that is stuck. */

struct sb_engine_seen {
	struct sb_agent *agent;
	struct sb_engine_call *op;
	Sparkbus__EngineState state;
	char *version, *api_version, *root_dir, *error;
};

static void keep(char **own, char **shown, const char *value)
{
	free(*own);
	*own = strdup(value);
	*shown = *own ? *own : (char *)protobuf_c_empty_string;
}

static void seen_error(struct sb_engine_seen *seen, const struct sb_err *err)
{
	seen->state.reachable = false;
	keep(&seen->error, &seen->state.error, err->text);
}

static void on_info(void *ctx, const struct sb_engine_info *info, const struct sb_err *err)
{
	struct sb_engine_seen *seen = ctx;

	seen->op = NULL;
	if (err)
		seen_error(seen, err);
	else
		keep(&seen->root_dir, &seen->state.root_dir, info->root_dir);
}

static void on_version(void *ctx, const struct sb_engine_version *version, const struct sb_err *err)
{
	struct sb_engine_seen *seen = ctx;
	struct sb_engine *engine = seen->agent->engine;
	struct sb_err own = SB_ERR_INIT;

	seen->op = NULL;
	if (err) {
		seen_error(seen, err);
		return;
	}
	keep(&seen->version, &seen->state.version, version->version);
	keep(&seen->api_version, &seen->state.api_version, version->api_version);
	if (engine->ops->info(engine, on_info, seen, &seen->op, &own) < 0)
		seen_error(seen, &own);
}

void sb_engine_seen(struct sb_engine_seen *seen, const struct sb_err *err)
{
	struct sb_engine *engine = seen->agent->engine;
	struct sb_err own = SB_ERR_INIT;

	if (err) {
		seen_error(seen, err);
		return;
	}
	seen->state.reachable = true;
	keep(&seen->error, &seen->state.error, "");
	if (!seen->op && engine->ops->version(engine, on_version, seen, &seen->op, &own) < 0)
		seen_error(seen, &own);
}

int sb_engine_seen_new(struct sb_agent *agent, struct sb_engine_seen **ret, struct sb_err *err)
{
	struct sb_engine_seen *seen = calloc(1, sizeof(*seen));

	if (!seen)
		return sb_err_nomem(err);
	seen->agent = agent;
	sparkbus__engine_state__init(&seen->state);
	keep(&seen->error, &seen->state.error, "it has not answered yet");
	*ret = seen;
	return 0;
}

void sb_engine_seen_free(struct sb_engine_seen *seen)
{
	if (!seen)
		return;
	if (seen->op)
		seen->agent->engine->ops->cancel(seen->agent->engine, seen->op);
	free(seen->version);
	free(seen->api_version);
	free(seen->root_dir);
	free(seen->error);
	free(seen);
}

/* --- get_node --- */

static size_t fill_disks(struct sb_agent *agent, Sparkbus__Disk *disks, Sparkbus__Disk **list)
{
	const struct {
		const char *purpose, *path;
	} wanted[] = {
		{ "state", agent->config.state_dir },
		{ "models", agent->config.hf_cache },
		{ "images", agent->seen->root_dir },
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

HANDLER(on_get_node)
{
	const Sparkbus__GetNodeRequest *request = (const Sparkbus__GetNodeRequest *)body;
	struct sb_agent *me = agent;
	Sparkbus__NodeState state = SPARKBUS__NODE_STATE__INIT;
	const Sparkbus__JobStatus *jobs[JOBS_LISTED];
	Sparkbus__Disk disks[3], *disk_list[3];

	sb_node_fill(me->node, &state);
	state.name = me->identity.name;
	state.agent_version = (char *)SB_VERSION;
	state.protocol = SB_PROTOCOL;
	state.agent_uptime_ms = sb_now_boot_ms() - me->started_boot_ms;
	state.engine = &me->seen->state;
	state.disks = disk_list;
	state.n_disks = fill_disks(me, disks, disk_list);
	state.n_jobs = sb_jobs_list(me->jobs, request->running_only, jobs, sb_countof(jobs));
	state.jobs = (Sparkbus__JobStatus **)jobs;
	state.cert_serial = me->cert_serial;
	state.cert_not_after_unix_ms = (uint64_t)me->identity.not_after_unix_s * 1000;
	state.operator_crl_number = me->operator_crl_number;
	state.node_crl_number = me->node_crl_number;
	state.hf_cache = me->config.hf_cache;
	state.control_port = me->config.control_port;
	state.peer_port = me->config.peer_port;
	state.guard = sb_guarding_state(me->guarding);
	if (me->telemetry)
		state.telemetry = (Sparkbus__Telemetry *)sb_telemetry_get(me->telemetry);
	sb_call_reply(call, &state.base);
	return 0;
}
