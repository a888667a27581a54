/* A node's own word on itself. */
#include <string.h>

#include "commands.h"

static void field(const char *name, const char *value)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	sb_render_clean(&text, value, strlen(value));
	printf("%-12s %s\n", name, sb_strbuf_str(&text));
}

static void print_memory(const Sparkbus__NodeState *s)
{
	char total[32], available[32], text[96];

	if (s->has_memory_total_bytes_case !=
			SPARKBUS__NODE_STATE__HAS_MEMORY_TOTAL_BYTES_MEMORY_TOTAL_BYTES)
		return;
	sb_render_bytes(s->memory_total_bytes, total, sizeof(total));
	if (s->has_memory_available_bytes_case ==
			SPARKBUS__NODE_STATE__HAS_MEMORY_AVAILABLE_BYTES_MEMORY_AVAILABLE_BYTES)
		snprintf(text, sizeof(text), "%s, %s available", total,
				sb_render_bytes(s->memory_available_bytes, available,
						sizeof(available)));
	else
		snprintf(text, sizeof(text), "%s", total);
	field("Memory:", text);
}

static void print_state(const struct cli_node *node, const Sparkbus__NodeState *s)
{
	char text[512], up[32];

	field("Name:", s->name);
	snprintf(text, sizeof(text), "%s, control %u, peer %u", node->node.address,
			node->node.control_port, s->peer_port);
	field("Address:", text);
	field("Hostname:", s->hostname);
	snprintf(text, sizeof(text), "%s (protocol %u)", s->agent_version, s->protocol);
	field("Agent:", text);
	field("Up:", sb_render_duration(s->uptime_ms, up, sizeof(up)));
	snprintf(text, sizeof(text), "%s, %s, %u CPUs", s->kernel, s->machine, s->cpus);
	field("Kernel:", text);
	print_memory(s);
	if (s->engine && s->engine->reachable)
		snprintf(text, sizeof(text), "%s (API %s)", s->engine->version,
				s->engine->api_version);
	else
		snprintf(text, sizeof(text), "not reachable: %s",
				s->engine ? s->engine->error : "not told");
	field("Engine:", text);
	for (size_t i = 0; i < s->n_disks; i++) {
		char available[32], total[32];

		snprintf(text, sizeof(text), "%s: %s free of %s (%s)", s->disks[i]->purpose,
				sb_render_bytes(s->disks[i]->free_bytes, available,
						sizeof(available)),
				sb_render_bytes(s->disks[i]->total_bytes, total, sizeof(total)),
				s->disks[i]->path);
		field(i ? "" : "Disks:", text);
	}
	for (size_t i = 0; i < s->n_addresses; i++) {
		snprintf(text, sizeof(text), "%s %s/%u", s->addresses[i]->interface,
				s->addresses[i]->ip, s->addresses[i]->prefix_len);
		field(i ? "" : "Addresses:", text);
	}
	field("Models:", s->hf_cache);
	for (size_t i = 0; i < s->n_jobs; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf label = SB_STRBUF_INIT;

		job_label(s->jobs[i], &label);
		sb_strbuf_addf(&label, "  %s", job_state_text(s->jobs[i]->state));
		field(i ? "" : "Jobs:", sb_strbuf_str(&label));
	}
}

int cmd_node_show(struct cli *cli, const struct call *call)
{
	const struct node_opts *opts = call->opts;
	SB_CLEANUP(cli_nodes_done) struct cli_nodes nodes = CLI_NODES_INIT;
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	Sparkbus__GetNodeRequest body = SPARKBUS__GET_NODE_REQUEST__INIT;
	struct sb_err err = SB_ERR_INIT;

	if (hosts_add(cli, &nodes, call->args[0], &err) < 0 ||
			ask_one(cli, &nodes.items[0], SPARKBUS__REQUEST__BODY_GET_NODE, &body,
					ASK_DEADLINE_MS, &answer, &err) < 0)
		return cli_fail(cli, &err);
	if (opts->json)
		return cli_json(cli, sb_render_message(&answer.reply->get_node->base, NULL),
				EXIT_DONE);
	print_state(&nodes.items[0], answer.reply->get_node);
	return EXIT_DONE;
}
