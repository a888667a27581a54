#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sb_fs.h"
#include "sb_hub.h"
#include "sb_vram_fit.h"

static char cache[64];

static void make_cache(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(cache, sizeof(cache), "%s/sb-hub-XXXXXX", tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(cache));
}

static void remove_cache(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", cache);
	ck_assert_int_eq(system(command), 0);
}

/* Write @text to @name below the cache; NULL makes a folder. */
static void put(const char *name, const char *text)
{
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(cache, name);
	SB_CLEANUP(sb_freep) char *dir = strdup(path);

	if (text)
		*strrchr(dir, '/') = '\0';
	ck_assert_int_eq(sb_fs_mkdirs(dir, 0700, NULL), 0);
	if (text)
		ck_assert_int_eq(sb_fs_write(path, text, strlen(text), 0600, NULL), 0);
}

/* --- where the cache is --- */

static const char *const *environment;

static const char *from_table(const char *name)
{
	for (const char *const *e = environment; e[0]; e += 2)
		if (!strcmp(e[0], name))
			return e[1];
	return NULL;
}

static const struct {
	const char *env[11];
	const char *place; /* NULL = none */
} places[] = {
	{ { "HOME", "/h" }, "/h/.cache/huggingface/hub" },
	{ { "HOME", "/h", "XDG_CACHE_HOME", "/x" }, "/x/huggingface/hub" },
	{ { "HOME", "/h", "XDG_CACHE_HOME", "/x", "HF_HOME", "/f" }, "/f/hub" },
	{ { "HOME", "/h", "HF_HOME", "~/f" }, "/h/f/hub" },
	{ { "HF_HOME", "/f", "HUGGINGFACE_HUB_CACHE", "/old" }, "/old" },
	{ { "HF_HOME", "/f", "HUGGINGFACE_HUB_CACHE", "/old", "HF_HUB_CACHE", "/c" }, "/c" },
	{ { "HOME", "/h", "HF_HOME", "" }, "/h/.cache/huggingface/hub" },
	{ { "HF_HOME", "" }, NULL },
};

START_TEST(the_environment_says_where_the_cache_is)
{
	SB_CLEANUP(sb_freep) char *place = NULL;
	struct sb_err err = SB_ERR_INIT;

	environment = places[_i].env;
	if (places[_i].place) {
		ck_assert_int_eq(sb_hub_cache(from_table, &place, &err), 0);
		ck_assert_str_eq(place, places[_i].place);
	} else {
		ck_assert_int_eq(sb_hub_cache(from_table, &place, &err), -SB_E_NOT_FOUND);
	}
}
END_TEST

/* --- from a name to a folder --- */

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static const struct {
	const char *model, *revision;
	bool found;
	int rc;
} names[] = {
	{ "org/m", "", true, 0 },
	{ "org/m", NULL, true, 0 },
	{ "org/m", "main", true, 0 },
	{ "org/m", COMMIT, true, 0 },
	{ "org/m", "refs/pr/1", true, 0 },
	{ "gpt2", "", true, 0 },
	{ "org/m", "other", false, 0 },
	{ "org/m", "evil", false, 0 },
	{ "org/m", "empty", false, 0 },
	{ "org/m", "huge", false, 0 },
	{ "org/m", "folder", false, 0 },
	{ "org/n", "", false, 0 },
	{ "", "", false, -SB_E_INVALID },
	{ "/", "", false, -SB_E_INVALID },
	{ "/models/m", "", false, -SB_E_INVALID },
	{ "org/", "", false, -SB_E_INVALID },
	{ "a/b/c", "", false, -SB_E_INVALID },
	{ "../..", "", false, -SB_E_INVALID },
	{ "org/..", "", false, -SB_E_INVALID },
	{ "./m", "", false, -SB_E_INVALID },
	{ "org/m:Q4_K_M", "", false, -SB_E_INVALID },
	{ "org/m\n", "", false, -SB_E_INVALID },
	{ "org/m", "../main", false, -SB_E_INVALID },
	{ "org/m", "/main", false, -SB_E_INVALID },
};

START_TEST(a_model_is_found_by_its_name)
{
	SB_CLEANUP(sb_freep) char *folder = NULL;
	struct sb_err err = SB_ERR_INIT;
	char huge[4096];

	memset(huge, 'a', sizeof(huge));
	huge[sizeof(huge) - 1] = '\0';
	put("models--org--m/refs/main", COMMIT);
	put("models--org--m/refs/refs/pr/1", COMMIT "\n");
	put("models--org--m/refs/evil", "../../../..");
	put("models--org--m/refs/empty", "");
	put("models--org--m/refs/huge", huge);
	put("models--org--m/refs/folder", NULL);
	put("models--org--m/snapshots/" COMMIT, NULL);
	put("models--gpt2/refs/main", COMMIT);
	put("models--gpt2/snapshots/" COMMIT, NULL);
	ck_assert_int_eq(sb_hub_snapshot(cache, names[_i].model, names[_i].revision, &folder, &err),
			names[_i].rc);
	ck_assert_msg((folder != NULL) == names[_i].found, "%s: %s", names[_i].model, folder);
	if (folder)
		ck_assert_str_eq(folder + strlen(folder) - strlen(COMMIT), COMMIT);
}
END_TEST

/* --- the files --- */

static void count(void *ctx, const char *text)
{
	++*(size_t *)ctx;
	ck_assert_uint_gt(strlen(text), 0);
}

static struct sb_hub_model read_model(size_t want_warnings)
{
	struct sb_hub_model m = { 0 };
	struct sb_err err = SB_ERR_INIT;
	size_t warnings = 0;

	ck_assert_int_eq(sb_hub_model_read(cache, count, &warnings, &m, &err), 0);
	ck_assert_uint_eq(warnings, want_warnings);
	return m;
}

START_TEST(files_are_read_as_they_are_there)
{
	struct sb_hub_model m = read_model(0);
	struct sb_vram_facts facts = sb_hub_facts(&m);

	ck_assert(!facts.config && !facts.hf_quant && !facts.index && !facts.n_files);
	sb_hub_model_done(&m);
	put("model.safetensors", "12345");
	put("config.json", "{}");
	put("hf_quant_config.json", "[]");
	m = read_model(0);
	facts = sb_hub_facts(&m);
	ck_assert(json_is_object(facts.config) && json_is_array(facts.hf_quant));
	ck_assert_uint_eq(facts.n_files, 1);
	ck_assert_str_eq(facts.files[0].name, "model.safetensors");
	ck_assert_uint_eq(facts.files[0].bytes, 5);
	sb_hub_model_done(&m);
	sb_hub_model_done(&m);
}
END_TEST

static const struct {
	const char *map;
	size_t n;
} maps[] = {
	{ "{\"a\":\"1\",\"b\":\"2\",\"c\":\"1\"}", 2 },
	{ "{\"a\":\"1\",\"b\":\"3\"}", 0 },
	{ "{\"a\":\"1\",\"b\":\"gone\"}", 0 }, /* a link whose blob is not there */
	{ "{\"a\":\"1\",\"b\":5}", 0 },
	{ "{\"a\":\"../1\"}", 0 },
	{ "{\"a\":\"sub/1\"}", 0 },
	{ "{\"a\":\"..\"}", 0 },
	{ "{\"a\":\"\"}", 0 },
	{ "{}", 0 },
	{ "[\"1\"]", 0 },
	{ "7", 0 },
};

START_TEST(all_files_that_the_index_names_or_none)
{
	char text[256], link[128];
	struct sb_hub_model m;

	put("1", "a");
	put("2", "bb");
	put("sub/1", "ccc");
	put("model.safetensors", "old"); /* is not what the index means */
	snprintf(link, sizeof(link), "%s/gone", cache);
	ck_assert_int_eq(symlink("../../blobs/none", link), 0);
	snprintf(text, sizeof(text), "{\"weight_map\":%s}", maps[_i].map);
	put("model.safetensors.index.json", text);
	m = read_model(0);
	ck_assert_uint_eq(m.n_files, maps[_i].n);
	sb_hub_model_done(&m);
}
END_TEST

START_TEST(what_is_no_use_is_said_and_left_out)
{
	SB_CLEANUP(sb_freep) char *huge = malloc(SB_HUB_CONFIG_MAX + 2);
	SB_CLEANUP(sb_freep) char *deep = malloc(100001);
	struct sb_hub_model m;

	memset(huge, ' ', SB_HUB_CONFIG_MAX + 1);
	huge[SB_HUB_CONFIG_MAX + 1] = '\0';
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	put("config.json", huge);
	put("hf_quant_config.json", "{\"a\": NaN}");
	put("model.safetensors.index.json", deep);
	m = read_model(3);
	ck_assert(!m.config && !m.hf_quant && !m.index && !m.n_files);
	sb_hub_model_done(&m);
}
END_TEST

/* --- GGUF --- */

struct bytes {
	unsigned char data[8192];
	size_t len;
};

static void num(struct bytes *b, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		b->data[b->len++] = (unsigned char)(value >> (8 * i));
}

static void str(struct bytes *b, const char *text)
{
	num(b, strlen(text), 8);
	memcpy(b->data + b->len, text, strlen(text));
	b->len += strlen(text);
}

static void head(struct bytes *b, uint64_t version, uint64_t pairs)
{
	b->len = 0;
	num(b, 0x46554747, 4); /* "GGUF" */
	num(b, version, 4);
	num(b, 291, 8);
	num(b, pairs, 8);
}

static void pair_u32(struct bytes *b, const char *key, uint32_t value)
{
	str(b, key);
	num(b, 4, 4);
	num(b, value, 4);
}

static void pair_list(struct bytes *b, const char *key, const int *values, size_t n)
{
	str(b, key);
	num(b, 9, 4);
	num(b, 5, 4);
	num(b, n, 8);
	for (size_t i = 0; i < n; i++)
		num(b, (uint64_t)values[i], 4);
}

static void pair_text(struct bytes *b, const char *key, const char *text)
{
	str(b, key);
	num(b, 8, 4);
	str(b, text);
}

/* Qwen3-1.7B as llama.cpp converts it; the tokenizer's list goes on past what was read. */
static void dense(struct bytes *b)
{
	head(b, 3, 30);
	pair_text(b, "general.architecture", "qwen3");
	pair_u32(b, "qwen3.block_count", 28);
	pair_u32(b, "qwen3.context_length", 40960);
	pair_u32(b, "qwen3.embedding_length", 2048);
	pair_u32(b, "qwen3.feed_forward_length", 6144);
	pair_u32(b, "qwen3.attention.head_count", 16);
	pair_u32(b, "qwen3.attention.head_count_kv", 8);
	str(b, "qwen3.rope.freq_base");
	num(b, 6, 4);
	num(b, 0x49742400, 4);
	pair_u32(b, "qwen3.attention.key_length", 128);
	pair_u32(b, "qwen3.attention.value_length", 128);
	pair_u32(b, "llama.block_count", 99); /* of another architecture */
	str(b, "tokenizer.ggml.tokens");
	num(b, 9, 4);
	num(b, 8, 4);
	num(b, 151936, 8);
	str(b, "!");
	str(b, "a token");
}

static int64_t word(const json_t *json, const char *name)
{
	return json_integer_value(json_object_get(json, name));
}

START_TEST(a_gguf_says_what_it_is)
{
	struct bytes b;
	json_t *json;

	dense(&b);
	json = sb_hub_gguf(b.data, b.len);
	ck_assert_ptr_nonnull(json);
	ck_assert_str_eq(json_string_value(json_object_get(json, "model_type")), "qwen3");
	ck_assert_int_eq(word(json, "num_hidden_layers"), 28);
	ck_assert_int_eq(word(json, "num_key_value_heads"), 8);
	ck_assert_int_eq(word(json, "head_dim"), 128);
	ck_assert_int_eq(word(json, "vocab_size"), 151936);
	ck_assert_int_eq(word(json, "max_position_embeddings"), 40960);
	json_decref(json);
}
END_TEST

START_TEST(a_gguf_may_be_cut_anywhere)
{
	struct bytes b;
	json_t *json;

	dense(&b);
	for (size_t len = 0; len < b.len; len++) {
		SB_CLEANUP(sb_freep) char *part = malloc(len + !len);

		memcpy(part, b.data, len);
		json = sb_hub_gguf(part, len);
		ck_assert(!json || word(json, "num_hidden_layers") == 28);
		ck_assert(json || len < 102); /* the end of block_count */
		json_decref(json);
	}
}
END_TEST

/* Heads of the cache by layer: none where there is no attention, and there a width of the MLP tells
 * which. */
START_TEST(layers_of_a_gguf_may_differ)
{
	static const int heads[] = { 0, 0, 2, 0 }, inner[] = { 0, 1856, 0, 0 };
	struct sb_vram_facts facts = { 0 };
	struct sb_vram_launch launch = { .recipe.model = "o/m:Q8_0", .engine = SB_VRAM_LLAMA_CPP };
	struct sb_vram_fit fit;
	char text[160];
	struct bytes b;
	json_t *json;

	head(&b, 3, 11);
	pair_text(&b, "general.architecture", "nemotron_h_moe");
	pair_u32(&b, "nemotron_h_moe.block_count", 4);
	pair_list(&b, "nemotron_h_moe.attention.head_count_kv", heads, 4);
	pair_list(&b, "nemotron_h_moe.feed_forward_length", inner, 4);
	pair_u32(&b, "nemotron_h_moe.attention.key_length", 128);
	pair_u32(&b, "nemotron_h_moe.embedding_length", 2688);
	pair_u32(&b, "nemotron_h_moe.ssm.conv_kernel", 4);
	pair_u32(&b, "nemotron_h_moe.ssm.state_size", 128);
	pair_u32(&b, "nemotron_h_moe.ssm.group_count", 8);
	pair_u32(&b, "nemotron_h_moe.ssm.time_step_rank", 64);
	pair_u32(&b, "nemotron_h_moe.ssm.inner_size", 4096);
	json = sb_hub_gguf(b.data, b.len);
	ck_assert_ptr_nonnull(json);
	facts.gguf = json;
	ck_assert_int_eq(sb_vram_fit(&launch, &facts, NULL, NULL, 0, &fit, NULL), 0);
	sb_vram_shape_text(&fit.shape, text, sizeof(text));
	ck_assert_str_eq(text, "4 layers: 1 full attention, 2 linear, 1 without a cache");
	ck_assert(fit.stages[0].cache.token_bytes == 2 * 2 * 128 * 2);
	ck_assert(fit.stages[0].cache.fixed_bytes ==
			2 * (64 * 64 * 128 * 4.0 + (4096 + 2 * 8 * 128) * 3 * 2.0));
	json_decref(json);
}
END_TEST

/* A head that lies about lengths and types; NULL or nothing worse. */
START_TEST(a_gguf_that_lies_is_no_gguf)
{
	struct bytes b;

	head(&b, 1, 0);
	ck_assert_ptr_null(sb_hub_gguf(b.data, b.len));
	head(&b, 3, UINT64_MAX);
	ck_assert_ptr_null(sb_hub_gguf(b.data, b.len));
	ck_assert_ptr_null(sb_hub_gguf("GGUF", 4));
	ck_assert_ptr_null(sb_hub_gguf("", 0));
	for (uint32_t type = 0; type < 16; type++) {
		head(&b, 3, 2);
		pair_text(&b, "general.architecture", "x");
		str(&b, "x.block_count");
		num(&b, 9, 4);
		num(&b, type, 4);
		num(&b, UINT64_MAX - 7, 8);
		num(&b, UINT64_MAX, 8);
		ck_assert_ptr_null(sb_hub_gguf(b.data, b.len));
		head(&b, 3, 1);
		num(&b, UINT64_MAX, 8);
		num(&b, type, 4);
		ck_assert_ptr_null(sb_hub_gguf(b.data, b.len));
	}
}
END_TEST

START_TEST(gguf_files_of_the_cache)
{
	struct sb_hub_model m;
	struct bytes b;
	char path[128];

	dense(&b);
	put("Q8_0/m-Q8_0-00001-of-00002.gguf", "x");
	snprintf(path, sizeof(path), "%s/Q8_0/m-Q8_0-00001-of-00002.gguf", cache);
	ck_assert_int_eq(sb_fs_write(path, b.data, b.len, 0600, NULL), 0);
	put("Q8_0/m-Q8_0-00002-of-00002.gguf", "12345");
	put("mmproj-F16.gguf", "123");
	m = read_model(0);
	ck_assert_uint_eq(m.n_files, 3);
	ck_assert_int_eq(word(m.gguf, "num_hidden_layers"), 28);
	ck_assert_ptr_null(m.config);
	sb_hub_model_done(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hub");
	TCase *tc = tcase_create("hub");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, make_cache, remove_cache);
	tcase_add_loop_test(tc, the_environment_says_where_the_cache_is, 0, sb_countof(places));
	tcase_add_loop_test(tc, a_model_is_found_by_its_name, 0, sb_countof(names));
	tcase_add_test(tc, files_are_read_as_they_are_there);
	tcase_add_loop_test(tc, all_files_that_the_index_names_or_none, 0, sb_countof(maps));
	tcase_add_test(tc, what_is_no_use_is_said_and_left_out);
	tcase_add_test(tc, a_gguf_says_what_it_is);
	tcase_add_test(tc, a_gguf_may_be_cut_anywhere);
	tcase_add_test(tc, layers_of_a_gguf_may_differ);
	tcase_add_test(tc, a_gguf_that_lies_is_no_gguf);
	tcase_add_test(tc, gguf_files_of_the_cache);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
