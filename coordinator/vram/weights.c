/* weights.c - what the weights of a launch take, and how that is known. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fit.h"

#define GIB 1073741824.0

/* Bytes a parameter takes with its share of scales, which the published table leaves out. */
static bool stored_bytes(const char *dtype, double *ret)
{
	static const struct {
		const char *name;
		double bytes;
	} with_scales[] = { { "nvfp4", 0.5 + 1.0 / 16 }, { "mxfp4", 0.5 + 1.0 / 32 },
		{ "fp4", 0.5 + 1.0 / 16 },
		/* Groups of 128: a 16-bit scale and a 4-bit zero. */
		{ "awq4", 0.5 + 2.5 / 128 }, { "awq", 0.5 + 2.5 / 128 },
		{ "gptq", 0.5 + 2.5 / 128 }, { "int4", 0.5 + 2.5 / 128 } };
	char key[SB_VRAM_NAME_MAX];

	vram_key(key, dtype);
	for (size_t i = 0; i < sb_countof(with_scales); i++)
		if (!strcmp(with_scales[i].name, key)) {
			*ret = with_scales[i].bytes;
			return true;
		}
	return sb_vram_dtype_bytes(key, ret);
}

/* --- GGUF: one file of a repository that has many --- */

static size_t stem(const char *name)
{
	const char *part = strstr(name, "-00001-of-");
	const char *dot = strrchr(name, '.');

	if (!part)
		for (part = name; (part = strstr(part, "-of-")); part += 4)
			if (part - name >= 6 && part[-6] == '-')
				return (size_t)(part - 6 - name);
	return part ? (size_t)(part - name) : dot ? (size_t)(dot - name) : strlen(name);
}

static bool is_quant(const char *name, const char *quant)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	size_t len = strlen(quant), end = stem(name) - (size_t)(base - name);
	const char *at = strcasestr(base, quant);

	if (!len || !strstr(name, ".gguf") || !strncmp(base, "mmproj", 6) || end < len)
		return false;
	return at && (size_t)(at - base) + len == end &&
			(at == base || strchr("-._", at[-1]) != NULL);
}

static bool from_gguf(const char *model, const struct sb_vram_facts *facts, double *ret)
{
	const char *quant = strchr(model, ':');
	const char *best = NULL;
	double sum = 0;

	if (!quant)
		return false;
	for (size_t i = 0; i < facts->n_files; i++) {
		const char *name = facts->files[i].name;

		if (is_quant(name, quant + 1) && (!best || stem(name) < stem(best)))
			best = name;
	}
	for (size_t i = 0; best && i < facts->n_files; i++) {
		const char *name = facts->files[i].name;

		if (stem(name) == stem(best) && !strncmp(name, best, stem(best)))
			sum += (double)facts->files[i].bytes;
	}
	*ret = sum;
	return sum > 0;
}

/* --- safetensors --- */

static bool from_header(const json_t *header, double *ret)
{
	const char *name;
	json_t *tensor;
	double end = 0;

	json_object_foreach ((json_t *)header, name, tensor) {
		json_t *last = json_array_get(json_object_get(tensor, "data_offsets"), 1);
		double at = json_number_value(last);

		if (at > end && at < 1e18)
			end = at;
	}
	*ret = end;
	return end > 0;
}

static bool on_disk(const char *model, const struct sb_vram_facts *facts, struct sb_vram_term *t)
{
	const char *source;
	uint64_t bytes;
	double size;

	if (strchr(model, ':')) {
		if (!from_gguf(model, facts, &size))
			return false;
		fit_term(t, SB_VRAM_READ, size, size, "size of the GGUF file");
		return true;
	}
	if (from_header(facts->header, &size)) {
		fit_term(t, SB_VRAM_KNOWN, size, size, "header of model.safetensors");
		return true;
	}
	if (!sb_vram_disk_bytes(facts, &bytes, &source))
		return false;
	size = (double)bytes;
	fit_term(t, !strcmp(source, "model.safetensors.index.json") ? SB_VRAM_KNOWN : SB_VRAM_READ,
			size, size, "%s", source);
	return true;
}

/* A checkpoint that is quantized already is what it is, whatever the launch says of it. */
static void quantize_at_load(struct fit_state *s, struct sb_vram_term *t)
{
	const struct sb_vram_recipe *r = &s->launch->recipe;
	const char *given = sb_empty(r->meta_quantization) ? r->quantization : r->meta_quantization;
	const struct sb_vram_shape *shape = &s->fit->shape;
	struct sb_vram_quant stored, wanted = { 0 };
	double to, kept;

	sb_vram_quant(NULL, s->facts->config, s->facts->hf_quant, r->model, &stored);
	if (*stored.method || !vram_quant_given(given) || !s->facts->config ||
			json_is_object(json_object_get(s->facts->config, "quantization_config")))
		return;
	vram_algorithm(given, &wanted);
	if (!strcasecmp(given, "bitsandbytes"))
		strcpy(wanted.dtype, "int4");
	if (!stored_bytes(wanted.dtype, &to) || to >= shape->dtype_bytes)
		return;
	/* Embeddings and head stay. */
	kept = shape->embedding * (shape->tied ? 1 : 2) * shape->dtype_bytes;
	if (kept > t->low)
		kept = 0;
	kept += (t->low - kept) * to / shape->dtype_bytes;
	vram_name(s->fit->weight_dtype, wanted.dtype);
	fit_term(t, SB_VRAM_GUESSED, kept, kept, "quantized to %s while it is loaded",
			wanted.dtype);
}

static bool by_count(struct fit_state *s, struct sb_vram_term *t)
{
	const struct sb_vram_recipe *r = &s->launch->recipe;
	const struct sb_vram_shape *shape = &s->fit->shape;
	const char *dtype = s->fit->weight_dtype;
	double bytes, size, kept = shape->embedding * (shape->tied ? 1 : 2);
	int64_t given = 0;
	bool said = !sb_empty(r->model_params) && sb_vram_params(r->model_params, &given);
	double all = said ? (double)given : shape->params;

	if (!all || !*dtype || !stored_bytes(dtype, &bytes))
		return false;
	if (bytes >= shape->dtype_bytes || kept > all)
		kept = 0;
	size = (all - kept) * bytes + kept * shape->dtype_bytes;
	fit_term(t, SB_VRAM_GUESSED, size, size, "%.3g B parameters %s, as %s", all / 1e9,
			said ? "of the metadata" : "by config.json", dtype);
	return true;
}

void fit_weights(struct fit_state *s, struct sb_vram_term *t)
{
	const struct sb_vram_recipe *r = &s->launch->recipe;
	double given;

	strcpy(t->name, "weights");
	if (!sb_empty(r->model_vram) && vram_text_real(r->model_vram, &given) && given > 0) {
		fit_term(t, SB_VRAM_KNOWN, given * GIB, given * GIB, "metadata.model_vram");
		return;
	}
	if (on_disk(r->model ? r->model : "", s->facts, t)) {
		quantize_at_load(s, t);
		return;
	}
	if (!by_count(s, t))
		fit_term(t, SB_VRAM_UNKNOWN, 0, 0,
				"neither the files' sizes nor parameters are known");
}

bool fit_draft_weights(const struct fit_state *s, struct sb_vram_term *t)
{
	strcpy(t->name, "drafter's weights");
	if (!*s->drafter)
		return false;
	if (!s->draft || !on_disk(s->drafter, s->draft, t))
		fit_term(t, SB_VRAM_UNKNOWN, 0, 0, "%s was not found", s->drafter);
	return true;
}
