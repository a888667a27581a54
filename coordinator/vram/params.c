/* params.c - how many parameters a model has, and how many of them work on a token. */
#include <string.h>

#include "shape.h"

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* One layer's MLP or experts. */
struct mixture {
	double all, active;
};

struct feed {
	double experts, chosen, dense, expert, shared; /* counts; parameters of one of each */
	double router, around;                         /* router; projections around the experts */
};

static bool word_starts(const struct shape_config *c, const char *name, const char *with)
{
	return !strncmp(shape_word(c, name), with, strlen(with));
}

static struct feed read_feed(const struct shape_config *c, const struct sb_vram_shape *s)
{
	/* Squared ReLU has no gate: two matrices and not three. */
	double matrices = word_starts(c, "mlp_hidden_act", "relu2") ? 2 : 3;
	double inner = shape_field(c, NAMES("intermediate_size", "n_inner", "ffn_hidden_size"));
	double inner_dense = shape_field(c, NAMES("dense_intermediate_size"));
	double inner_moe = shape_field(c, NAMES("moe_intermediate_size", "expert_ffn_hidden_size"));
	double n_shared = shape_field(c, NAMES("n_shared_experts", "num_shared_experts"));
	double shared = shape_field(c,
			NAMES("moe_shared_expert_intermediate_size",
					"shared_expert_intermediate_size",
					"shared_intermediate_size"));
	double latent = shape_field(c, NAMES("moe_latent_size"));
	struct feed f = { .experts = shape_field(c,
					  NAMES("num_experts", "n_routed_experts",
							  "num_local_experts", "moe_num_experts")),
		.chosen = shape_field(c,
				NAMES("num_experts_per_tok", "top_k_experts",
						"num_experts_per_token", "moe_topk",
						"experts_per_token")) };

	f.dense = matrices * s->hidden * (inner_dense ? inner_dense : inner);
	f.expert = matrices * (latent ? latent : s->hidden) * (inner_moe ? inner_moe : inner);
	f.around = 2 * s->hidden * latent;
	if (!shared && n_shared)
		shared = n_shared * (inner_moe ? inner_moe : inner);
	f.shared = matrices * s->hidden * shared;
	f.router = s->hidden * f.experts;
	if (f.chosen > f.experts)
		f.chosen = f.experts;
	return f;
}

static bool listed(const json_t *list, size_t at)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (json_integer_value(item) == (json_int_t)at)
			return true;
	return false;
}

/* Families mix layers of experts with plain ones in their own ways. */
static bool has_experts(const struct shape_config *c, const struct feed *f, size_t at)
{
	size_t step = (size_t)shape_field(
			c, NAMES("decoder_sparse_step", "interleave_moe_layer_step"));
	const char *pattern = shape_word(c, "hybrid_override_pattern");
	const json_t *freq = shape_value(c, "moe_layer_freq");

	if (!f->experts)
		return false;
	if (at < strlen(pattern))
		return pattern[at] == 'E';
	if (at < (size_t)shape_field(c, NAMES("first_k_dense_replace")))
		return false;
	if (at < json_array_size(freq))
		return json_integer_value(json_array_get(freq, at)) != 0;
	if (step > 1 && (at + 1) % step != 0)
		return false;
	return !listed(shape_value(c, "mlp_only_layers"), at);
}

/* A layer of Nemotron-H is a mixer or an MLP and never both. */
static bool has_dense(const struct shape_config *c, size_t at)
{
	const char *pattern = shape_word(c, "hybrid_override_pattern");

	return at >= strlen(pattern) || pattern[at] == '-';
}

static struct mixture layer_feed(const struct shape_config *c, const struct feed *f, size_t at)
{
	bool both = json_is_true(shape_value(c, "enable_moe_block")); /* Gemma 4 */
	struct mixture m = { 0 };

	if (has_experts(c, f, at)) {
		m.all = f->experts * f->expert + f->shared + f->router + f->around;
		m.active = f->chosen * f->expert + f->shared + f->router + f->around;
	}
	if ((!m.all || both) && has_dense(c, at)) {
		m.all += f->dense;
		m.active += f->dense;
	}
	return m;
}

/* Twelve times the square of the width is what a layer of a plain transformer has. */
static double tower(const struct shape_config *c)
{
	static const char *const names[] = { "vision_config", "audio_config" };
	double sum = 0;

	for (size_t i = 0; i < sb_countof(names); i++) {
		const json_t *map = json_object_get(c->top, names[i]);
		const struct shape_config inner = { map, map };
		double width = shape_field(&inner, NAMES("hidden_size", "d_model", "embed_dim"));

		sum += 12 * width * width *
				shape_field(&inner,
						NAMES("num_hidden_layers", "depth",
								"encoder_layers", "num_layers"));
	}
	return sum;
}

void shape_params(const struct shape_config *c, const char *kinds, struct sb_vram_shape *s)
{
	struct feed f = read_feed(c, s);
	double all = 0, active = 0;

	if (!s->hidden || !s->vocab || (!f.dense && !f.expert))
		return;
	for (int64_t i = 0; i < s->layers; i++) {
		const struct sb_vram_set *set = &s->sets[s->set_of[i]];
		struct mixture m = layer_feed(c, &f, (size_t)i);
		double mixer = set->params;

		/* A layer that reads another's cache attends all the same. */
		if (set->kind == SB_VRAM_NONE && !*shape_word(c, "hybrid_override_pattern"))
			mixer = s->sets[s->set_of[0]].params;
		all += mixer + m.all;
		active += mixer + m.active;
	}
	s->embedding = s->vocab * s->hidden;
	s->tower = tower(c);
	s->params = all + s->embedding * (s->tied ? 1 : 2) + s->tower;
	/* Of the embeddings a token reads a row; the head is read whole. */
	s->active = active + s->embedding;
}
