/* shape.h - what the readers of config.json share. */
#ifndef SB_VRAM_SHAPE_H
#define SB_VRAM_SHAPE_H

#include "internal.h"
#include "sb_vram_fit.h"

struct shape_config {
	const json_t *top, *text; /* config.json; its part on the language model, or the same */
};

/** The first of @names (NULL ends) that is a number of sensible size; 0 = none is. */
double shape_field(const struct shape_config *c, const char *const *names);
/** Of the language model's part, else of the top; may be NULL. */
const json_t *shape_value(const struct shape_config *c, const char *name);
const char *shape_word(const struct shape_config *c, const char *name);
/** Tokens of the sliding window or chunk; 0 = none. */
double shape_window(const struct shape_config *c);

/** What layer @at keeps. A kind of SB_VRAM_KIND_COUNT_: config.json does not say. */
void shape_attention(const struct shape_config *c, struct sb_vram_shape *s, bool window, size_t at,
		struct sb_vram_set *ret);
void shape_state(const struct shape_config *c, struct sb_vram_shape *s, struct sb_vram_set *ret);
/** Count parameters. @kinds: a letter per layer, as in shape.c. */
void shape_params(const struct shape_config *c, const char *kinds, struct sb_vram_shape *s);

#endif
