/* Jobs, ranks and outcomes as words. */
#include <string.h>

#include "cli.h"

void job_label(const Sparkbus__JobStatus *status, struct sb_strbuf *out)
{
	const struct {
		const char *name;
		uint32_t value;
	} sizes[] = {
		{ "tp", status->tensor_parallel },
		{ "pp", status->pipeline_parallel },
		{ "dp", status->data_parallel },
	};
	const char *name = *status->recipe ? status->recipe : status->job;
	const char *open = "  (";

	sb_render_clean(out, name, strlen(name));
	for (size_t i = 0; i < sb_countof(sizes); i++) {
		if (sizes[i].value < 2)
			continue;
		sb_strbuf_addf(out, "%s%s=%u", open, sizes[i].name, sizes[i].value);
		open = ", ";
	}
	sb_strbuf_addf(out, "%s  [%s]", *open == ',' ? ")" : "", job_short(status->job));
}

void jobs_print_choice(const struct job_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf label = SB_STRBUF_INIT;

		job_label(list->items[i].status, &label);
		fprintf(stderr, "  %s  %s\n", sb_strbuf_str(&label),
				job_state_text(list->items[i].status->state));
	}
}

const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* The texts live for the whole run: one buffer per enum is enough for a single thread. */
const char *job_state_text(Sparkbus__JobState state)
{
	static char text[32];

	return sb_render_enum(&sparkbus__job_state__descriptor, (int)state, text, sizeof(text));
}

const char *rank_state_text(Sparkbus__RankState state)
{
	static char text[32];

	return sb_render_enum(&sparkbus__rank_state__descriptor, (int)state, text, sizeof(text));
}

const char *health_text(Sparkbus__Health health)
{
	static char text[32];

	return sb_render_enum(&sparkbus__health__descriptor, (int)health, text, sizeof(text));
}

const char *outcome_text(Sparkbus__Outcome outcome)
{
	static char text[32];

	return sb_render_enum(&sparkbus__outcome__descriptor, (int)outcome, text, sizeof(text));
}

static const char *reason(const struct fleet *fleet, size_t i)
{
	return ask_reason(&fleet->nodes->items[i], &fleet->asks[i].answer);
}

void fleet_print_silent(const struct fleet *fleet, FILE *out)
{
	for (size_t i = 0; i < fleet->nodes->n; i++)
		if (!fleet_state(fleet, i))
			fprintf(out, "  %s: %s\n", fleet->nodes->items[i].node.name,
					reason(fleet, i));
}

json_t *fleet_silent_json(const struct fleet *fleet)
{
	json_t *list = json_array();

	for (size_t i = 0; i < fleet->nodes->n; i++) {
		if (fleet_state(fleet, i))
			continue;
		json_array_append_new(list,
				json_pack("{s:s, s:s, s:s}", "node",
						fleet->nodes->items[i].node.name, "code",
						sb_code_name(fleet->asks[i].answer.err.code),
						"error", reason(fleet, i)));
	}
	return list;
}
