/* internal.h - what the files of the estimator share. */
#ifndef SB_VRAM_INTERNAL_H
#define SB_VRAM_INTERNAL_H

#include "sb_vram.h"

/* What the published tool reads of config.json. */
struct vram_config {
	char dtype[SB_VRAM_NAME_MAX]; /* as written */
	struct sb_vram_whole layers, kv_heads, head_dim;
};
void vram_config_read(const json_t *config, struct vram_config *ret);

/** Weight dtype and bits of a quantization algorithm's name; bits 0 = unknown. */
void vram_algorithm(const char *name, struct sb_vram_quant *ret);
/** Whether a recipe's quantization names one: not NULL, "", "none" or "auto". */
bool vram_quant_given(const char *text);

/** int() and float() of the published tools. False when @text is none. */
bool vram_text_int(const char *text, int64_t *ret);
bool vram_text_real(const char *text, double *ret);
/** A whole number of JSON: an integer, a float (cut), or text of one. */
bool vram_json_int(const json_t *value, int64_t *ret);
/** Copy @text, cut and cleaned of control characters; "" for NULL. */
void vram_name(char ret[SB_VRAM_NAME_MAX], const char *text);
/** Lower case, blanks around it dropped, '-' become '_'. */
void vram_key(char ret[SB_VRAM_NAME_MAX], const char *text);

void vram_warn(struct sb_vram_warnings *warnings, const char *fmt, ...) SB_PRINTF(2, 3);

#endif
