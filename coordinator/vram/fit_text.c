/* fit_text.c - the estimate for people, and as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_vram_fit.h"

#define GIB 1073741824.0

/* Share of the bandwidth that single streams were seen to use. */
#define USUAL_LOW  0.33
#define USUAL_HIGH 0.57

static void range(char text[48], double low, double high)
{
	if (high - low < 0.005 * GIB)
		snprintf(text, 48, "%.2f", low / GIB);
	else
		snprintf(text, 48, "%.1f - %.1f", low / GIB, high / GIB);
}

static void add_row(struct sb_strbuf *out, const struct sb_vram_term *t)
{
	char text[48] = "?";

	if (t->origin != SB_VRAM_UNKNOWN)
		range(text, t->low, t->high);
	sb_strbuf_addf(out, "    %-26s %15s  %-8s %s\n", t->name, text,
			sb_vram_origin_name(t->origin), t->how);
}

static void add_head(const struct sb_vram_fit *f, struct sb_strbuf *out)
{
	char text[160];

	if (f->shape.layers) {
		sb_vram_shape_text(&f->shape, text, sizeof(text));
		sb_strbuf_addf(out, "  Model:            %s%s%s%s\n", f->shape.model_type,
				*f->shape.model_type ? ", " : "", text,
				f->shape.vision ? "; with a tower for images or sound" : "");
	}
	if (f->shape.params && f->shape.active < 0.9 * f->shape.params)
		sb_strbuf_addf(out, "  Parameters:       %.3g B, %.3g B work on a token\n",
				f->shape.params / 1e9, f->shape.active / 1e9);
	else if (f->shape.params)
		sb_strbuf_addf(out, "  Parameters:       %.3g B\n", f->shape.params / 1e9);
	if (*f->weight_dtype)
		sb_strbuf_addf(out, "  Weights:          %s\n", f->weight_dtype);
	sb_strbuf_addf(out, "  Parallel:         tensors %lld, pipeline %lld", (long long)f->tp,
			(long long)f->pp);
	if (f->dp > 1)
		sb_strbuf_addf(out, ", data %lld", (long long)f->dp);
	sb_strbuf_addc(out, '\n');
}

static void add_cache(const struct sb_vram_fit *f, struct sb_strbuf *out)
{
	const struct sb_vram_cache *c = &f->stages[f->worst].cache;

	if (!c->known) {
		sb_strbuf_adds(out, "  KV cache:         unknown\n");
		return;
	}
	sb_strbuf_addf(out, "  KV cache:         %s; of a rank ", f->kv_dtype);
	sb_vram_thousands(out, (int64_t)fmin(c->token_bytes, 9e18));
	sb_strbuf_adds(out, " B a token");
	if (c->fixed_bytes > 0)
		sb_strbuf_addf(out, " and %.1f MiB a sequence", c->fixed_bytes / (GIB / 1024));
	sb_strbuf_addc(out, '\n');
}

static void add_table(const struct sb_vram_fit *f, struct sb_strbuf *out)
{
	const struct sb_vram_stage *stage = &f->stages[f->worst];
	struct sb_vram_term left = { .name = "left for the cache", .origin = SB_VRAM_GUESSED };

	sb_strbuf_adds(out, "\n  A rank, GiB");
	if (f->n_stages > 1)
		sb_strbuf_addf(out,
				" (stage %zu of %lld, with layers %lld to %lld, has the least "
				"room)",
				f->worst + 1, (long long)f->pp, (long long)stage->first_layer,
				(long long)(stage->first_layer + stage->n_layers - 1));
	sb_strbuf_adds(out, ":\n");
	for (size_t i = 0; i < stage->n_terms; i++)
		add_row(out, &stage->terms[i]);
	left.low = f->pool_low;
	left.high = f->pool_high;
	if (!stage->weights_known)
		left.origin = SB_VRAM_UNKNOWN;
	add_row(out, &left);
	add_row(out, &f->budget);
	if (f->budget.origin != f->memory.origin || f->budget.low != f->memory.low)
		add_row(out, &f->memory);
}

static void add_tokens(struct sb_strbuf *out, const char *label, int64_t tokens)
{
	sb_strbuf_adds(out, label);
	sb_vram_thousands(out, tokens);
	sb_strbuf_adds(out, " tokens");
}

static void add_room(const struct sb_vram_fit *f, struct sb_strbuf *out)
{
	if (f->longest.known) {
		add_tokens(out, "  Longest context:  ", f->longest.value);
		if (f->longest.value && f->longest.value == f->shape.native_len)
			sb_strbuf_adds(out, ", the model's own limit");
		sb_strbuf_addc(out, '\n');
	}
	if (f->sequences.known) {
		add_tokens(out, f->len_given ? "  At " : "  At the model's ", f->len);
		sb_strbuf_addf(out, ":  %lld sequence%s at once, ", (long long)f->sequences.value,
				f->sequences.value == 1 ? "" : "s");
		add_tokens(out, "", f->pool_tokens.value);
		sb_strbuf_adds(out, " in all\n");
	}
	if (f->ceiling.known)
		sb_strbuf_addf(out,
				"  Decoding:         at most %.3g tokens/s for one sequence; %.2g "
				"to %.2g "
				"are usual\n",
				f->ceiling.value, f->ceiling.value * USUAL_LOW,
				f->ceiling.value * USUAL_HIGH);
}

static void add_verdict(const struct sb_vram_fit *f, struct sb_strbuf *out)
{
	sb_strbuf_addf(out, "  Verdict:          %s%s%s\n", sb_vram_verdict_name(f->verdict),
			*f->why ? ": " : "", f->why);
	for (size_t i = 0; i < f->n_nodes; i++)
		if (f->nodes[i].verdict != SB_VRAM_FITS)
			sb_strbuf_addf(out, "    %s: %s: %s\n", f->nodes[i].name,
					sb_vram_verdict_name(f->nodes[i].verdict), f->nodes[i].why);
}

int sb_vram_fit_text(const struct sb_vram_fit *f, struct sb_strbuf *out)
{
	sb_strbuf_adds(out, "\nVRAM Estimation:\n");
	add_head(f, out);
	add_cache(f, out);
	add_table(f, out);
	add_room(f, out);
	add_verdict(f, out);
	for (size_t i = 0; i < f->notes.n; i++)
		sb_strbuf_addf(out, "  Note: %s\n", f->notes.text[i]);
	return out->failed;
}

int sb_vram_fit_line(const struct sb_vram_fit *f, struct sb_strbuf *out)
{
	const struct sb_vram_stage *stage = &f->stages[f->worst];
	char text[48];

	if (stage->weights_known)
		sb_strbuf_addf(out, "%.1f GiB of weights", stage->terms[0].low / GIB);
	else
		sb_strbuf_adds(out, "weights of unknown size");
	range(text, f->budget.low, f->budget.high);
	sb_strbuf_addf(out, " on a node, %s %s GiB", f->budget.how[0] == 'w' ? "free are" : "of",
			text);
	if (f->sequences.known && f->sequences.value) {
		sb_strbuf_addf(out, "; room for %lld sequence%s of ", (long long)f->sequences.value,
				f->sequences.value == 1 ? "" : "s");
		sb_vram_thousands(out, f->len);
		sb_strbuf_adds(out, " tokens");
	}
	return sb_strbuf_addf(out, ": %s", sb_vram_verdict_name(f->verdict));
}

/* --- JSON --- */

static json_t *number(double value)
{
	return isfinite(value) ? value < 9e15 && value == floor(value)
					? json_integer((json_int_t)value)
					: json_real(value)
			       : json_null();
}

static json_t *known(double value)
{
	return value > 0 ? number(value) : json_null();
}

static json_t *whole(const struct sb_vram_whole *value)
{
	return value->known ? json_integer(value->value) : json_null();
}

static json_t *term_json(const struct sb_vram_term *t)
{
	bool is = t->origin != SB_VRAM_UNKNOWN;

	return json_pack("{s:s, s:o, s:o, s:s, s:s}", "name", t->name, "low_bytes",
			is ? number(floor(t->low)) : json_null(), "high_bytes",
			is ? number(ceil(t->high)) : json_null(), "origin",
			sb_vram_origin_name(t->origin), "source", t->how);
}

static json_t *stages_json(const struct sb_vram_fit *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->n_stages; i++) {
		const struct sb_vram_stage *stage = &f->stages[i];
		json_t *terms = json_array();

		for (size_t k = 0; k < stage->n_terms; k++)
			json_array_append_new(terms, term_json(&stage->terms[k]));
		json_array_append_new(list,
				json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "first_layer",
						(json_int_t)stage->first_layer, "layers",
						(json_int_t)(f->pp > 1 ? stage->n_layers
								       : f->shape.layers),
						"terms", terms, "cache_token_bytes",
						stage->cache.known
								? number(stage->cache.token_bytes)
								: json_null(),
						"cache_sequence_bytes",
						stage->cache.known
								? number(stage->cache.fixed_bytes)
								: json_null(),
						"cache_block_bytes",
						stage->cache.paged
								? number(stage->cache.block_bytes)
								: json_null()));
	}
	return list;
}

static json_t *nodes_json(const struct sb_vram_fit *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->n_nodes; i++)
		json_array_append_new(list,
				json_pack("{s:s, s:s, s:s}", "node", f->nodes[i].name, "verdict",
						sb_vram_verdict_name(f->nodes[i].verdict), "why",
						f->nodes[i].why));
	return list;
}

static json_t *notes_json(const struct sb_vram_fit *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->notes.n; i++)
		json_array_append_new(list, json_string(f->notes.text[i]));
	return list;
}

static json_t *shape_json(const struct sb_vram_shape *s)
{
	char text[160];

	if (!s->layers)
		return json_null();
	sb_vram_shape_text(s, text, sizeof(text));
	return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:b, s:b}", "model_type", s->model_type,
			"layers_text", text, "layers", (json_int_t)s->layers, "native_context",
			known((double)s->native_len), "parameters", known(s->params),
			"active_parameters", known(s->active), "tower", (int)s->vision, "checked",
			(int)!s->guessed);
}

/* What the launch is. */
static json_t *launch_json(const struct sb_vram_fit *f)
{
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:s, s:o, s:o, s:o}", "verdict",
			sb_vram_verdict_name(f->verdict), "why", f->why, "shape",
			shape_json(&f->shape), "tensor_parallel", (json_int_t)f->tp,
			"pipeline_parallel", (json_int_t)f->pp, "data_parallel", (json_int_t)f->dp,
			"kv_dtype", f->kv_dtype, "weight_dtype",
			*f->weight_dtype ? json_string(f->weight_dtype) : json_null(), "context",
			known((double)f->len), "max_sequences", known((double)f->seqs));
}

/* What it takes and leaves. */
static json_t *room_json(const struct sb_vram_fit *f)
{
	bool is = f->stages[f->worst].weights_known;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o}",
			"engine_share", term_json(&f->budget), "node_memory", term_json(&f->memory),
			"pool_low_bytes", is ? number(floor(f->pool_low)) : json_null(),
			"pool_high_bytes", is ? number(ceil(f->pool_high)) : json_null(),
			"longest_context", whole(&f->longest), "sequences", whole(&f->sequences),
			"pool_tokens", whole(&f->pool_tokens), "decode_ceiling_tokens_per_s",
			f->ceiling.known ? number(f->ceiling.value) : json_null(), "worst_stage",
			(int)f->worst, "stages", stages_json(f), "nodes", nodes_json(f), "notes",
			notes_json(f));
}

json_t *sb_vram_fit_json(const struct sb_vram_fit *f)
{
	json_t *json = launch_json(f), *room = room_json(f);

	if (!json || !room || json_object_update(json, room) < 0) {
		json_decref(json);
		json = NULL;
	}
	json_decref(room);
	return json;
}
