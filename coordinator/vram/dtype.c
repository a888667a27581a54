/* dtype.c - bytes that an element of a number format takes, by the published tool's table. */
#include <string.h>

#include "internal.h"

/* Formats with scales come without them (nvfp4, mxfp4, awq): the estimate proper adds those. */
static const struct {
	const char *name;
	double bytes;
} dtypes[] = {
	{ "float32", 4 },
	{ "fp32", 4 },
	{ "float16", 2 },
	{ "fp16", 2 },
	{ "bfloat16", 2 },
	{ "bf16", 2 },
	{ "int8", 1 },
	{ "fp8", 1 },
	{ "fp8_e5m2", 1 },
	{ "fp8_e4m3", 1 },
	{ "awq8", 1 },
	{ "int4", 0.5 },
	{ "awq", 0.5 },
	{ "awq4", 0.5 },
	{ "w4a16_awq", 0.5 },
	{ "nvfp4", 0.5 },
	{ "gptq", 0.5 },
	{ "mxfp4", 0.5 },
	{ "q8_1", 1.125 },
	{ "q8_0", 1.0625 },
	{ "q8_k", 1.0625 },
	{ "q6_k", 0.8125 },
	{ "q5_1", 0.75 },
	{ "q5_0", 0.6875 },
	{ "q5_k", 0.6875 },
	{ "q5_k_s", 0.6875 },
	{ "q5_k_m", 0.6875 },
	{ "q4_1", 0.625 },
	{ "q4_0", 0.5625 },
	{ "q4_k", 0.5625 },
	{ "q4_k_s", 0.5625 },
	{ "q4_k_m", 0.5625 },
	{ "iq4_nl", 0.5625 },
	{ "iq4_xs", 0.5625 },
	{ "q3_k", 0.4375 },
	{ "q3_k_s", 0.4375 },
	{ "q3_k_m", 0.4375 },
	{ "iq3_s", 0.4375 },
	{ "iq3_xxs", 0.4063 },
	{ "q2_k", 0.3125 },
	{ "q2_k_s", 0.3125 },
	{ "iq2_xs", 0.3125 },
	{ "iq2_s", 0.3125 },
	{ "tq2_0", 0.3125 },
	{ "iq2_xxs", 0.25 },
	{ "iq1_s", 0.1875 },
	{ "iq1_m", 0.1875 },
	{ "tq1_0", 0.1875 },
};

bool sb_vram_dtype_bytes(const char *name, double *ret)
{
	char key[SB_VRAM_NAME_MAX];

	vram_key(key, name);
	for (size_t i = 0; i < sb_countof(dtypes); i++) {
		if (strcmp(dtypes[i].name, key) != 0)
			continue;
		*ret = dtypes[i].bytes;
		return true;
	}
	return false;
}

void sb_vram_dtype_name(const char *name, char ret[SB_VRAM_NAME_MAX])
{
	static const char *const longer[][2] = { { "fp32", "float32" }, { "fp16", "float16" },
		{ "bf16", "bfloat16" } };

	vram_key(ret, name);
	for (size_t i = 0; i < sb_countof(longer); i++)
		if (!strcmp(ret, longer[i][0]))
			strcpy(ret, longer[i][1]);
}
