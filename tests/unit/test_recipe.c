#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sb_recipe.h"

#define BASE "model: org/m\ncontainer: img:1\n"

static const char *env_of(const char *name)
{
	return !strcmp(name, "FOO") ? "foo" : NULL;
}

/* A workload with everything that was said about it. */
struct fixture {
	struct sb_diags diags;
	struct sb_workload *w;
	struct sb_err err;
	int rc;
};

static void done(struct fixture *f)
{
	sb_workload_free(f->w);
	sb_diags_done(&f->diags);
}

static struct fixture resolve(const char *text, const struct sb_override *o, size_t n,
		const char *image, const struct sb_override *cluster, size_t n_cluster)
{
	SB_CLEANUP(sb_recipe_freep) struct sb_recipe *recipe = NULL;
	struct fixture f = { 0 };

	f.rc = sb_recipe_parse("dir/r.yaml", text, strlen(text), env_of, &f.diags, &recipe, &f.err);
	if (f.rc == 0)
		f.rc = sb_workload_resolve(
				recipe, o, n, image, cluster, n_cluster, &f.diags, &f.w, &f.err);
	return f; /* the recipe is freed here: a workload must live on its own */
}

static struct fixture load(const char *text)
{
	struct fixture f = resolve(text, NULL, 0, NULL, NULL, 0);

	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	return f;
}

static struct fixture with(const char *text, const char *key, const char *value)
{
	struct sb_override o = { key, value, "-o" };
	struct fixture f = resolve(text, &o, 1, NULL, NULL, 0);

	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	return f;
}

static const struct sb_diag *find_diag(const struct fixture *f, const char *part)
{
	for (size_t i = 0; i < f->diags.n; i++)
		if (strstr(f->diags.items[i].text, part))
			return &f->diags.items[i];
	return NULL;
}

/* --- hostile and wrong recipes: where, and what was expected --- */

static const struct {
	const char *text, *place, *say;
} refused[] = {
	{ "a: b: c", "dir/r.yaml:1:5: ", "expected" },
	{ "- 1\n", "dir/r.yaml:1:1: ", "must contain a YAML mapping" },
	{ "", "dir/r.yaml:1:1: ", "must contain a YAML mapping" },
	{ "runtime: vllm\n", "dir/r.yaml:1:1: ", "Recipe missing 'model' field" },
	{ "runtime: vllm\nmodel: 5\n", "dir/r.yaml:2:8: ", "text, got a whole number" },
	{ "model: ''\n", "dir/r.yaml:1:8: ", "got empty text" },
	{ BASE "defaults: [1]\n", "dir/r.yaml:3:11: ", "defaults: expected a map, got a list" },
	{ BASE "defaults: x\n", "dir/r.yaml:3:11: ", "expected a map, got text" },
	{ BASE "env: [A]\n", "dir/r.yaml:3:6: ", "env: expected a map" },
	{ BASE "env: {A=B: 1}\n", "dir/r.yaml:3:7: ", "name of a variable" },
	{ BASE "command: [vllm]\n", "dir/r.yaml:3:10: ", "command: expected text" },
	{ BASE "min_nodes: two\n", "dir/r.yaml:3:12: ", "min_nodes: expected a whole number" },
	{ BASE "min_nodes: null\n", "dir/r.yaml:3:12: ", "got null" },
	{ BASE "max_nodes: 0\n", "dir/r.yaml:3:12: ", "at least 1" },
	{ BASE "min_nodes: 99999999\n", "dir/r.yaml:3:12: ", "at most" },
	{ BASE "solo_only: maybe\n", "dir/r.yaml:3:12: ", "true or false" },
	{ BASE "runtime_config: null\n", "dir/r.yaml:3:17: ", "expected a map" },
	{ BASE "mods: [a, {b: c}]\n", "dir/r.yaml:3:11: ", "mods[1]: expected text, got a map" },
	{ BASE "mods: a\n", "dir/r.yaml:3:7: ", "a list of texts" },
	{ BASE "pre_exec: [a, [b]]\n",
			"dir/r.yaml:3:15: ", "pre_exec[1]: expected text, got a list" },
	{ BASE "executor_config:\n  devices:\n    - /dev/a\n    - [x]\n", "dir/r.yaml:6:7: ",
			"executor_config.devices: expected a list of texts, got a list" },
	{ BASE "executor_config: {shm_size: lots}\n", "dir/r.yaml:3:29: ", "a size such as 32gb" },
	{ BASE "executor_config: {privileged: not}\n", "dir/r.yaml:3:31: ", "true or false" },
	{ BASE "executor_config: {ulimit: [nofile=9:1]}\n", "dir/r.yaml:3:27: ", "nofile=9:1" },
	{ BASE "executor_config: {ulimit: x=1}\n", "dir/r.yaml:3:27: ", "limits such as" },
	{ BASE "executor_config: {devices: [infiniband]}\n", "dir/r.yaml:3:28: ", "paths such as" },
	{ BASE "a: &a [*a]\n", "dir/r.yaml:3:8: ", "no cycle" },
	{ "model: \"a\\0b\"\n", "dir/r.yaml:1:8: ", "NUL" },
	{ "model: a\n---\nmodel: b\n", "dir/r.yaml:2:1: ", "one document" },
};

START_TEST(a_wrong_recipe_is_refused_at_its_place)
{
	struct fixture f = resolve(refused[_i].text, NULL, 0, NULL, NULL, 0);

	ck_assert_int_lt(f.rc, 0);
	ck_assert_msg(!strncmp(f.err.text, refused[_i].place, strlen(refused[_i].place)) &&
					strstr(f.err.text, refused[_i].say),
			"%s\n%s", refused[_i].text, f.err.text);
	done(&f);
}
END_TEST

START_TEST(a_huge_file_is_refused)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct fixture f;

	sb_strbuf_adds(&text, "model: m\n");
	while (text.len < (size_t)10 << 20)
		sb_strbuf_adds(&text, "# ten megabytes of nothing at all, line by line by line\n");
	f = resolve(sb_strbuf_str(&text), NULL, 0, NULL, NULL, 0);
	ck_assert_int_eq(f.rc, -SB_E_RANGE);
	ck_assert_ptr_nonnull(strstr(f.err.text, "dir/r.yaml:1:1: "));
	done(&f);
}
END_TEST

START_TEST(too_many_keys_are_refused)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct fixture f;

	sb_strbuf_adds(&text, "model: m\ndefaults:\n");
	for (int i = 0; i < 1001; i++)
		sb_strbuf_addf(&text, "  k%d: 1\n", i);
	f = resolve(sb_strbuf_str(&text), NULL, 0, NULL, NULL, 0);
	ck_assert_int_eq(f.rc, -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(f.err.text, "dir/r.yaml:3:3: defaults: 1001 keys"));
	done(&f);
}
END_TEST

/* The format takes them; what they become is said. */
START_TEST(texts_of_lists_and_maps_are_environment)
{
	struct fixture f = load(BASE "env:\n  A: [1, x, null]\n  B: {k: true}\n  C: []\n");
	const struct sb_diag *d = find_diag(&f, "env.B is a map and becomes text");

	ck_assert_str_eq(sb_workload_env(f.w, "A"), "[1, 'x', None]");
	ck_assert_str_eq(sb_workload_env(f.w, "B"), "{'k': True}");
	ck_assert_str_eq(sb_workload_env(f.w, "C"), "[]");
	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(d->line, 5);
	ck_assert_ptr_nonnull(find_diag(&f, "env.A is a list"));
	done(&f);
}
END_TEST

static const struct {
	const char *yaml, *say; /* say: NULL = nothing to remark */
} no_maps[] = {
	{ "metadata: [x, y]\n", "metadata: expected a map, got a list; it is ignored" },
	{ "metadata: text\n", "metadata: expected a map, got text; it is ignored" },
	{ "metadata: null\n", NULL },
	{ "executor_config: [privileged, true]\n",
			"executor_config: expected a map, got a list; it is ignored" },
	{ "executor_config: 1\n",
			"executor_config: expected a map, got a whole number; it is ignored" },
	{ "executor_config: null\n", NULL },
};

START_TEST(what_should_be_a_map_counts_as_none)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	struct fixture f;

	sb_strbuf_addf(&text, "%s%s", BASE, no_maps[_i].yaml);
	f = load(sb_strbuf_str(&text));
	ck_assert_ptr_null(sb_workload_metadata(f.w));
	ck_assert(!sb_workload_executor(f.w)->privileged);
	ck_assert_uint_eq(f.diags.n, no_maps[_i].say ? 1 : 0);
	if (no_maps[_i].say) {
		ck_assert_ptr_nonnull(find_diag(&f, no_maps[_i].say));
		ck_assert_uint_eq(f.diags.items[0].line, 3);
	}
	done(&f);
}
END_TEST

START_TEST(remarks_have_lines_and_stop_nothing)
{
	struct fixture f = load(
			BASE "model: org/n\nfrobnicate: 1\nmode: warp\nmax_nodes: 2\nmin_nodes: 3\n"
			     "metadata: {model_params: 30B-A3B, quantization: magic, "
			     "model_dtype: bf16, kv_dtype: odd}\n"
			     "pre_exec: [a, 5]\ndefaults: {1: x}\nenv: {N: null}\n"
			     "executor_config: {color: red}\n");
	static const struct {
		const char *text;
		unsigned line;
	} want[] = {
		{ "key 'model' was already given at line 1", 3 },
		{ "unknown key 'frobnicate'", 4 },
		{ "Invalid mode 'warp'; expected 'solo', 'cluster', or 'auto'", 5 },
		{ "max_nodes (2) < min_nodes (3)", 6 },
		{ "metadata.model_params '30B-A3B' is not a valid parameter count", 8 },
		{ "metadata.quantization 'magic' is not a recognized method", 8 },
		{ "metadata.kv_dtype 'odd' is not a recognized dtype", 8 },
		{ "pre_exec[1]", 9 },
		{ "the key '1'", 10 },
		{ "env.N is null", 11 },
		{ "unknown key 'color'", 12 },
	};

	for (size_t i = 0; i < sb_countof(want); i++) {
		const struct sb_diag *d = find_diag(&f, want[i].text);

		ck_assert_msg(d != NULL, "%s", want[i].text);
		ck_assert_uint_eq(d->line, want[i].line);
	}
	ck_assert_ptr_null(find_diag(&f, "model_dtype"));
	ck_assert_str_eq(sb_workload_model(f.w), "org/n");
	done(&f);
}
END_TEST

START_TEST(names_come_from_the_file)
{
	static const char text[] =
			"model: m\ndescription: ''\nmetadata: {description: d}\nname: x\n"
			"model_revision: 0123abc\n";
	struct sb_recipe *recipe = NULL;
	struct fixture f = load(text);

	ck_assert_str_eq(sb_workload_name(f.w), "r");
	ck_assert_str_eq(sb_workload_path(f.w), "dir/r.yaml");
	ck_assert_str_eq(sb_workload_description(f.w), "d");
	ck_assert_str_eq(sb_workload_revision(f.w), "0123abc");
	ck_assert_str_eq(sb_workload_image(f.w), "");
	ck_assert_int_eq(sb_yaml_size(sb_workload_metadata(f.w)), 1);
	ck_assert_int_eq(sb_recipe_parse("x.y.yml", text, strlen(text), NULL, NULL, &recipe, NULL),
			0);
	ck_assert_str_eq(sb_recipe_name(recipe), "x.y");
	ck_assert_str_eq(sb_recipe_path(recipe), "x.y.yml");
	sb_recipe_free(recipe);
	done(&f);
}
END_TEST

/* --- overrides --- */

START_TEST(an_override_splits_at_the_first_equals_sign)
{
	struct sb_override o = { 0 };
	struct sb_err err = SB_ERR_INIT;
	char *key = NULL;

	ck_assert_int_eq(sb_override_parse(" a = b=c ", "-o", &o, &key, &err), 0);
	ck_assert_str_eq(o.key, "a");
	ck_assert_str_eq(o.value, "b=c");
	free(key);
	ck_assert_int_eq(sb_override_parse("abc", "-o", &o, &key, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "--option must be key=value, got: abc");
	ck_assert_int_eq(sb_override_parse("=x", "-o", &o, &key, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "--option has empty key: =x");
}
END_TEST

static const struct {
	const char *value;
	enum sb_yaml_type type;
	const char *text;
} typed[] = {
	{ "true", SB_YAML_BOOL, "True" },
	{ "YES", SB_YAML_BOOL, "True" },
	{ "No", SB_YAML_BOOL, "False" },
	{ "on", SB_YAML_STR, "on" },
	{ "007", SB_YAML_INT, "7" },
	{ "1_000", SB_YAML_INT, "1000" },
	{ "+3", SB_YAML_INT, "3" },
	{ "1e5", SB_YAML_FLOAT, "100000.0" },
	{ "0.90", SB_YAML_FLOAT, "0.9" },
	{ "inf", SB_YAML_FLOAT, "inf" },
	{ "nan", SB_YAML_FLOAT, "nan" },
	{ "0x10", SB_YAML_STR, "0x10" },
	{ "8k", SB_YAML_STR, "8k" },
	{ "null", SB_YAML_STR, "null" },
	{ "[1,2]", SB_YAML_STR, "[1,2]" },
	{ "", SB_YAML_STR, "" },
	{ "1__0", SB_YAML_STR, "1__0" },
	{ "-", SB_YAML_STR, "-" },
};

START_TEST(an_override_is_typed_as_published)
{
	struct fixture f = with(BASE, "k", typed[_i].value);
	const struct sb_value *v = sb_workload_config(f.w, "k");

	ck_assert_ptr_nonnull(v);
	ck_assert_msg(v->type == typed[_i].type && !strcmp(v->text, typed[_i].text), "%s: %s",
			typed[_i].value, v->text);
	ck_assert_str_eq(v->origin, "-o");
	ck_assert_uint_eq(v->line, 0);
	done(&f);
}
END_TEST

START_TEST(every_value_knows_its_origin)
{
	static const struct sb_override o[] = {
		{ "port", "1", "-o" },
		{ "port", "9000", "--port" },
		{ "new", "x", "-o" },
		{ "served_model_name", "1e5", "--served-model-name" },
		{ "env.A", "007", "-o" },
		{ "env.B", "$FOO", "-o" },
		{ "shm_size", "1g", "-o" },
	};
	struct fixture f = resolve(BASE "defaults: {port: 8000, x: null, tp: 0.90}\nenv: {A: z}\n",
			o, sb_countof(o), "other:2", NULL, 0);
	const struct sb_value *v;

	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	v = sb_workload_config(f.w, "port");
	ck_assert_str_eq(v->text, "9000");
	ck_assert_str_eq(v->origin, "--port");
	v = sb_workload_config(f.w, "tp");
	ck_assert_str_eq(v->text, "0.9");
	ck_assert_str_eq(v->origin, "recipe");
	ck_assert_uint_eq(v->line, 3);
	ck_assert_ptr_null(sb_workload_config(f.w, "x"));
	ck_assert_ptr_null(sb_workload_config(f.w, "shm_size"));
	ck_assert_str_eq(sb_workload_text(f.w, "served_model_name", ""), "1e5");
	ck_assert_str_eq(sb_workload_text(f.w, "nope", "fallback"), "fallback");
	ck_assert_str_eq(sb_workload_config_at(f.w, 0)->key, "port");
	ck_assert_str_eq(sb_workload_config_at(f.w, 3)->key, "model");
	ck_assert_str_eq(sb_workload_config_at(f.w, 4)->key, "new");
	ck_assert_ptr_null(sb_workload_config_at(f.w, 6));
	ck_assert_str_eq(sb_workload_env(f.w, "A"), "7");
	ck_assert_str_eq(sb_workload_env(f.w, "B"), "$FOO");
	ck_assert_str_eq(sb_workload_image(f.w), "other:2");
	done(&f);
}
END_TEST

START_TEST(numbers_are_checked_where_they_are_used)
{
	struct fixture f = load(BASE "defaults: {a: '2', b: 2.0, c: true, d: two, e: 99}\n");
	struct sb_err err = SB_ERR_INIT;
	int64_t n = -1;

	ck_assert_int_eq(sb_workload_int(f.w, "a", 1, 9, &n, &err), 0);
	ck_assert_int_eq(n, 2);
	ck_assert_int_eq(sb_workload_int(f.w, "b", 1, 9, &n, &err), 0);
	ck_assert_int_eq(n, 2);
	ck_assert_int_eq(sb_workload_int(f.w, "c", 1, 9, &n, &err), 0);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(sb_workload_int(f.w, "nope", 1, 9, &n, &err), 0);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(sb_workload_int(f.w, "d", 1, 9, &n, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text,
			"dir/r.yaml:3:40: d: expected a whole number from 1 to 9, got 'two'");
	ck_assert_int_eq(sb_workload_int(f.w, "e", 1, 9, &n, &err), -SB_E_INVALID);
	ck_assert_int_eq(n, 1);
	done(&f);
	f = with(BASE, "d", "two");
	ck_assert_int_eq(sb_workload_int(f.w, "d", 1, 9, &n, &err), -SB_E_INVALID);
	ck_assert_str_eq(err.text, "-o d: expected a whole number from 1 to 9, got 'two'");
	done(&f);
}
END_TEST

static const struct {
	const char *yaml;
	bool want;
} flags[] = {
	{ "true", true },
	{ "'true'", true },
	{ "'yes'", true },
	{ "'10'", true },
	{ "auto", true },
	{ "'not'", true },
	{ "default", true },
	{ "0.1", true },
	{ "false", false },
	{ "'no'", false },
	{ "'on'", true },
	{ "ON_", false },
	{ "enabled", true },
	{ "2", true },
	{ "'2'", true },
	{ "0.5", true },
	{ "0", false },
	{ "'0.0'", false },
	{ "'off'", false },
	{ "''", false },
	{ "[]", false },
	{ "null", false },
	{ "disabled", false },
};

START_TEST(the_loose_bool_is_the_published_one_but_for_plain_words)
{
	char text[128];
	struct fixture f;

	snprintf(text, sizeof(text), BASE "defaults: {k: %s}\n", flags[_i].yaml);
	f = load(text);
	ck_assert_msg(sb_value_flag(sb_workload_config(f.w, "k")) == flags[_i].want, "%s",
			flags[_i].yaml);
	done(&f);
}
END_TEST

START_TEST(env_values_are_expanded_once)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "$FOO", "foo" },
		{ "${FOO}x", "foox" },
		{ "$FOOBAR", "$FOOBAR" },
		{ "$NOPE", "$NOPE" },
		{ "${NOPE:-z}", "${NOPE:-z}" },
		{ "$$FOO", "$foo" },
		{ "\\$FOO", "\\foo" },
		{ "${FOO", "${FOO" },
		{ "a$FOO-$FOO", "afoo-foo" },
		{ "$", "$" },
		{ "", "" },
	};

	for (size_t i = 0; i < sb_countof(rows); i++) {
		struct fixture f;
		char text[128];

		snprintf(text, sizeof(text), BASE "env:\n  A: '%s'\n", rows[i].in);
		f = load(text);
		ck_assert_str_eq(sb_workload_env(f.w, "A"), rows[i].out);
		done(&f);
	}
}
END_TEST

START_TEST(env_values_become_text)
{
	struct fixture f = load(BASE "env: {A: yes, B: 0.90, C: null, D: 010}\n");
	struct sb_env e;

	ck_assert_str_eq(sb_workload_env(f.w, "A"), "True");
	ck_assert_str_eq(sb_workload_env(f.w, "B"), "0.9");
	ck_assert_str_eq(sb_workload_env(f.w, "C"), "None");
	ck_assert_str_eq(sb_workload_env(f.w, "D"), "8");
	ck_assert_ptr_null(sb_workload_env(f.w, "E"));
	ck_assert(sb_workload_env_at(f.w, 3, &e));
	ck_assert_str_eq(e.name, "D");
	ck_assert(!sb_workload_env_at(f.w, 4, &e));
	done(&f);
}
END_TEST

/* --- topology and detection: the published tables --- */

static const struct {
	const char *yaml;
	enum sb_mode mode;
	unsigned min, max;
} topologies[] = {
	{ "mode: solo\nmin_nodes: 3", SB_MODE_SOLO, 1, 1 },
	{ "min_nodes: 2", SB_MODE_CLUSTER, 2, 0 },
	{ "max_nodes: 1", SB_MODE_SOLO, 1, 1 },
	{ "min_nodes: 2\nmax_nodes: 1", SB_MODE_CLUSTER, 2, 1 },
	{ "solo_only: true\nmin_nodes: 2", SB_MODE_SOLO, 2, 1 },
	{ "cluster_only: true", SB_MODE_CLUSTER, 2, 0 },
	{ "solo_only: true\ncluster_only: true", SB_MODE_SOLO, 2, 1 },
	{ "mode: cluster", SB_MODE_CLUSTER, 1, 0 },
	{ "solo_only: 'no'", SB_MODE_AUTO, 1, 0 },
	{ "max_nodes: '3'", SB_MODE_AUTO, 1, 3 },
};

START_TEST(topology_is_derived)
{
	char text[160];
	struct fixture f;

	snprintf(text, sizeof(text), BASE "%s\n", topologies[_i].yaml);
	f = load(text);
	ck_assert_int_eq(sb_workload_mode(f.w), topologies[_i].mode);
	ck_assert_uint_eq(sb_workload_min_nodes(f.w), topologies[_i].min);
	ck_assert_uint_eq(sb_workload_max_nodes(f.w), topologies[_i].max);
	done(&f);
}
END_TEST

#define EUGR "container: ghcr.io/spark-arena/dgx-vllm-eugr-nightly-tf5:latest\n"

static const struct {
	const char *yaml, *backend, *runtime, *builder;
} detections[] = {
	{ "", NULL, "vllm-distributed", "" },
	{ "recipe_version: '1'\n", NULL, "vllm-distributed", "eugr" },
	{ "recipe_version: 1\n", NULL, "vllm-distributed", "eugr" },
	{ "recipe_version: 1.0\n", NULL, "vllm-distributed", "" },
	{ "recipe_version: '1'\nruntime: sglang\n", NULL, "sglang", "" },
	{ "mods: [a]\n", NULL, "vllm-distributed", "eugr" },
	{ "build_args: [--tf5]\n", NULL, "vllm-distributed", "eugr" },
	{ "runtime_config: {mods: [a]}\n", NULL, "vllm-distributed", "eugr" },
	{ "runtime: sglang\nbuild_args: [x]\n", NULL, "sglang", "" },
	{ EUGR, NULL, "vllm-distributed", "eugr" },
	{ EUGR "runtime: vllm-ray\n", NULL, "vllm-ray", "" },
	{ EUGR "builder: docker-pull\n", NULL, "vllm-distributed", "docker-pull" },
	{ "defaults: {distributed_executor_backend: Ray}\n", NULL, "vllm-ray", "" },
	{ "defaults: {distributed_executor_backend: ray}\n", "mp", "vllm-distributed", "" },
	{ "runtime: vllm-distributed\n", "ray", "vllm-distributed", "" },
	{ "command: VLLM_X=1 vllm serve x\n", NULL, "vllm-distributed", "" },
	{ "command: vllm serve x --distributed-executor-backend ray\n", NULL, "vllm-ray", "" },
	{ "command: vllm serve x --distributed-executor-backend=ray\n", NULL, "vllm-distributed",
			"" },
	{ "command: vllm serve x --distributed-executor-backend rays\n", NULL, "vllm-distributed",
			"" },
	{ "command: sglang  serve x\n", NULL, "sglang", "" },
	{ "command: python3 -m sglang.launch_server\n", NULL, "sglang", "" },
	{ "command: llama-server-x\n", NULL, "llama-cpp", "" },
	{ "command: llama-serverx\n", NULL, "vllm-distributed", "" },
	{ "command: trtllm-serve m\n", NULL, "trtllm", "" },
	{ "command: mpirun -n 2 trtllm-llmapi-launch\n", NULL, "trtllm", "" },
	{ "command: |\n  mpirun -n 2\n  trtllm\n", NULL, "vllm-distributed", "" },
	{ "runtime: vllm\ncommand: sglang serve x\n", NULL, "vllm-distributed", "" },
	{ "runtime: eugr-vllm\nrecipe_version: '1'\n", NULL, "eugr-vllm", "" },
	{ "runtime: VLLM\n", NULL, "VLLM", "" },
	{ "runtime: null\n", NULL, "", "" },
	{ "runtime: null\ncommand: vllm serve x\n", NULL, "vllm-distributed", "" },
};

START_TEST(runtime_and_builder_are_detected)
{
	struct sb_override o = { "distributed_executor_backend", detections[_i].backend, "-o" };
	char text[256];
	struct fixture f;

	snprintf(text, sizeof(text), "model: org/m\n%s", detections[_i].yaml);
	f = resolve(text, &o, detections[_i].backend ? 1 : 0, NULL, NULL, 0);
	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	ck_assert_msg(!strcmp(sb_workload_runtime(f.w), detections[_i].runtime) &&
					!strcmp(sb_workload_builder(f.w), detections[_i].builder),
			"%s: %s, %s", detections[_i].yaml, sb_workload_runtime(f.w),
			sb_workload_builder(f.w));
	done(&f);
}
END_TEST

/* --- placeholders: the published table, with the two repairs --- */

static const struct {
	const char *template, *defaults, *want;
} substitutions[] = {
	{ "x {port}", "port: 8000", "x 8000" },
	{ "x {port}", "port: null", "x {port}" },
	{ "x { port }", "port: 8000", "x { port }" },
	{ "x {{port}}", "port: 8000", "x 8000}" },
	{ "x {{{port}}}", "port: 8000", "x 8000}}" },
	{ "x ${port}", "port: 8000", "x $8000" },
	{ "x ${HOME}", "port: 1", "x ${HOME}" },
	{ "x {}", "port: 1", "x {}" },
	{ "x '{\"a\": {port}}'", "port: 8000", "x '{\"a\": 8000}'" }, /* repaired */
	{ "x '{\"a\":1}' {port}", "port: 8000", "x '{\"a\":1}' 8000" },
	{ "x {a}", "a: '{b}', b: '{port}', port: 1", "x 1" },
	{ "x {a}{b}", "a: '{', b: 'c}', c: Z", "x Z" },
	{ "x {A}", "a: 1", "x {A}" },
	{ "x {1}", "1: y", "x {1}" },
	{ "x {model}", "model: other", "x other" },
	{ "x {model}", "port: 1", "x org/m" },
	{ "x {a-b} {c.d}", "a-b: 1, c.d: 2", "x 1 2" },
	{ "x {l} {m} {t} {e}.", "l: [1, b, null, true], m: {k: 1}, t: yes, e: ''",
			"x [1, 'b', None, True] {'k': 1} True ." },
	{ "x {a\n}", "a: 1", "x {a\n}" },
};

START_TEST(placeholders_are_substituted)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	char text[256];
	struct fixture f;

	snprintf(text, sizeof(text), BASE "defaults: {%s}\n", substitutions[_i].defaults);
	f = load(text);
	ck_assert_msg(sb_workload_substitute(f.w, substitutions[_i].template, &out, &err) == 0,
			"%s", err.text);
	ck_assert_str_eq(sb_strbuf_str(&out), substitutions[_i].want);
	done(&f);
}
END_TEST

static const struct {
	const char *defaults, *say;
} cycles[] = {
	{ "a: '{b}', b: '{a}'", "dir/r.yaml:3:17: placeholders go in a circle: {a} -> {b} -> {a}" },
	{ "a: 'x{a}'", "dir/r.yaml:3:17: placeholders go in a circle: {a} -> {a}" },
	{ "a: '{b}', b: '{c}', c: 'y{b}'", "{b} -> {c} -> {b}" },
	{ "a: '{x', x: '{a}y}', xy: '{a}y}'", "do not settle" },
};

START_TEST(a_cycle_is_named)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	char text[256];
	struct fixture f;

	snprintf(text, sizeof(text), BASE "defaults: {  %s}\n", cycles[_i].defaults);
	f = load(text);
	ck_assert_int_lt(sb_workload_substitute(f.w, "x {a} {x}", &out, &err), 0);
	ck_assert_msg(strstr(err.text, cycles[_i].say) != NULL, "%s", err.text);
	ck_assert_uint_eq(out.len, 0);
	done(&f);
}
END_TEST

/* Text that only becomes a placeholder by substitution escapes the check of the values; the number
 * of rounds ends it. */
START_TEST(what_does_not_settle_ends)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct fixture f = load(BASE "defaults: {o: '{', a: '{o}a}'}\n");
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_workload_substitute(f.w, "{a}", &out, &err), -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "do not settle"));
	done(&f);
}
END_TEST

START_TEST(growth_is_capped)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct sb_err err = SB_ERR_INIT;
	struct fixture f;

	sb_strbuf_adds(&text, BASE "defaults:\n  k0: xxxxxxxxxx\n");
	for (int i = 1; i < 30; i++)
		sb_strbuf_addf(&text, "  k%d: '{k%d}{k%d}'\n", i, i - 1, i - 1);
	f = load(sb_strbuf_str(&text));
	ck_assert_int_eq(sb_workload_substitute(f.w, "{k29}", &out, &err), -SB_E_RANGE);
	ck_assert_ptr_nonnull(strstr(err.text, "131072 bytes"));
	done(&f);
}
END_TEST

START_TEST(the_command_is_cleaned_and_holes_are_remarked)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	struct fixture f = load(BASE "command: |\n\n  a \\ \n   b \\  \n  c \\\t\n  {nope} ${HOME} "
				     "'{\"x\": 1}'\n\n");
	bool has = false;

	ck_assert_int_eq(sb_workload_command(f.w, &out, &has, &f.diags, NULL), 0);
	ck_assert(has);
	ck_assert_str_eq(sb_strbuf_str(&out), "a \\\n b \\\nc \\\t\n{nope} ${HOME} '{\"x\": 1}'");
	ck_assert_uint_eq(find_diag(&f, "placeholder {nope}")->line, 3);
	ck_assert_int_eq(find_diag(&f, "placeholder {nope}")->level, SB_DIAG_WARNING);
	ck_assert_ptr_null(find_diag(&f, "HOME"));
	done(&f);
	f = load(BASE "command: '  '\n");
	ck_assert_int_eq(sb_workload_command(f.w, &out, &has, NULL, NULL), 0);
	ck_assert(!has);
	done(&f);
}
END_TEST

/* --- executor --- */

START_TEST(the_built_in_executor_is_the_least)
{
	struct fixture f = load(BASE);
	const struct sb_executor *e = sb_workload_executor(f.w);

	ck_assert(e->auto_remove && !e->privileged && e->default_devices);
	ck_assert_str_eq(e->gpus, "all");
	ck_assert_str_eq(e->ipc, "host");
	ck_assert_str_eq(e->network, "host");
	ck_assert_str_eq(e->user, "auto");
	ck_assert_str_eq(e->restart_policy, "");
	ck_assert_ptr_null(e->entrypoint);
	ck_assert_uint_eq(e->shm_bytes, (uint64_t)32 << 30);
	ck_assert_uint_eq(e->memory_bytes, 0);
	ck_assert_uint_eq(e->security_opt.n, 1);
	ck_assert_str_eq(e->security_opt.items[0], "no-new-privileges");
	ck_assert_uint_eq(e->cap_add.n, 0);
	ck_assert_uint_eq(e->labels.n, 0);
	ck_assert_str_eq(e->devices.items[0], "/dev/infiniband");
	ck_assert_uint_eq(e->n_ulimits, 2);
	ck_assert_str_eq(e->ulimits[0].name, "memlock");
	ck_assert_int_eq(e->ulimits[0].hard, -1);
	ck_assert_int_eq(e->ulimits[1].soft, 67108864);
	done(&f);
}
END_TEST

START_TEST(the_recipes_executor_is_taken_whole)
{
	struct fixture f = load(
			BASE "executor_config: {restart_policy: 'on-failure:3', privileged: "
			     "'true', gpus: '\"device=0\"', ipc: '', shm_size: 16gb, user: 1000, "
			     "security_opt: label=disable, cap_add: [SYS_PTRACE], ulimit: "
			     "nofile=1:2, devices: [/dev/a, /dev/b], memory_limit: 100g, labels: "
			     "['a=b c', x=y], entrypoint: ''}\n");
	const struct sb_executor *e = sb_workload_executor(f.w);

	ck_assert(e->privileged && !e->auto_remove && !e->default_devices);
	ck_assert_str_eq(e->restart_policy, "on-failure:3");
	ck_assert_str_eq(e->gpus, "\"device=0\"");
	ck_assert_str_eq(e->ipc, "");
	ck_assert_str_eq(e->user, "1000");
	ck_assert_str_eq(e->entrypoint, "");
	ck_assert_uint_eq(e->shm_bytes, (uint64_t)16 << 30);
	ck_assert_uint_eq(e->memory_bytes, (uint64_t)100 << 30);
	ck_assert_str_eq(e->security_opt.items[0], "label=disable");
	ck_assert_str_eq(e->cap_add.items[0], "SYS_PTRACE");
	ck_assert_int_eq(e->ulimits[0].hard, 2);
	ck_assert_uint_eq(e->devices.n, 2);
	ck_assert_str_eq(e->labels.items[0], "a=b c");
	done(&f);
}
END_TEST

START_TEST(null_never_adds_rights)
{
	struct fixture f = load(BASE "executor_config: {privileged: null, user: null, devices: [], "
				     "ulimit: null, cap_add: null, gpus: null, security_opt: null, "
				     "shm_size: null, auto_remove: null, memory_limit: null}\n");
	const struct sb_executor *e = sb_workload_executor(f.w);

	ck_assert(!e->privileged && e->auto_remove);
	ck_assert_str_eq(e->user, "");
	ck_assert_str_eq(e->gpus, "all");
	ck_assert_uint_eq(e->devices.n + e->n_ulimits + e->cap_add.n + e->security_opt.n, 0);
	ck_assert_uint_eq(e->shm_bytes, (uint64_t)32 << 30);
	done(&f);
}
END_TEST

START_TEST(overrides_beat_recipe_beats_cluster)
{
	static const struct sb_override o[] = {
		{ "gpus", "", "-o" },
		{ "security_opt", "", "-o" },
		{ "cap_add", "A,B", "-o" },
	};
	static const struct sb_override cluster[] = {
		{ "gpus", "1", NULL },
		{ "ulimit", "", NULL },
		{ "user", "u:g", NULL },
		{ "shm_size", "1g", NULL },
		{ "nonsense", "1", NULL },
		{ "labels", "k=v", NULL },
	};
	struct fixture f = resolve(BASE "executor_config: {shm_size: 2g, gpus: all}\n", o,
			sb_countof(o), NULL, cluster, sb_countof(cluster));
	const struct sb_executor *e = sb_workload_executor(f.w);

	ck_assert_msg(f.rc == 0, "%s", f.err.text);
	ck_assert_str_eq(e->gpus, "");
	ck_assert_uint_eq(e->security_opt.n, 0);
	ck_assert_uint_eq(e->n_ulimits, 0);
	ck_assert_uint_eq(e->cap_add.n, 2);
	ck_assert_str_eq(e->cap_add.items[1], "B");
	ck_assert_str_eq(e->user, "u:g");
	ck_assert_uint_eq(e->shm_bytes, (uint64_t)2 << 30);
	ck_assert_str_eq(e->labels.items[0], "k=v");
	ck_assert_ptr_nonnull(find_diag(&f, "unknown key 'nonsense'"));
	done(&f);
}
END_TEST

START_TEST(executor_keys_are_listed)
{
	size_t n = 0;
	bool seen = false;

	for (; sb_executor_key(n); n++) {
		seen = seen || !strcmp(sb_executor_key(n), "shm_size");
		ck_assert_str_ne(sb_executor_key(n), "labels");
		ck_assert_str_ne(sb_executor_key(n), "entrypoint");
	}
	ck_assert_uint_eq(n, 13);
	ck_assert(seen);
}
END_TEST

START_TEST(sizes_are_dockers)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "100", 100 },
		{ "100b", 100 },
		{ "1k", 1024 },
		{ "1KB", 1024 },
		{ "1KiB", 1024 },
		{ "32gb", (uint64_t)32 << 30 },
		{ "1.5g", (uint64_t)3 << 29 },
		{ "2 m", 2 << 20 },
		{ "1t", (uint64_t)1 << 40 },
	};
	static const char *const bad[] = { "", "g", "-1", "1x", "1gg", "0x10", "1e5", "inf", " 1",
		"99999999999999t", "1.2.3" };
	uint64_t bytes = 0;

	for (size_t i = 0; i < sb_countof(good); i++) {
		ck_assert_msg(sb_size_parse(good[i].text, &bytes) == 0, "%s", good[i].text);
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sb_countof(bad); i++)
		ck_assert_msg(sb_size_parse(bad[i], &bytes) == -SB_E_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(errors_point_into_the_recipe)
{
	struct fixture f = load(BASE "runtime_config: {mods: [x]}\nexecutor_config: {user: me}\n");
	struct sb_err err = SB_ERR_INIT;

	ck_assert_int_eq(sb_workload_err(f.w, "executor_config.user", SB_E_DENIED, &err, "no"),
			-SB_E_DENIED);
	ck_assert_str_eq(err.text, "dir/r.yaml:4:25: no");
	sb_workload_err(f.w, "mods", SB_E_INVALID, &err, "no");
	ck_assert_str_eq(err.text, "dir/r.yaml:3:24: no");
	sb_workload_err(f.w, "absent", SB_E_INVALID, &err, "no");
	ck_assert_str_eq(err.text, "dir/r.yaml:1:1: no");
	ck_assert_ptr_nonnull(sb_workload_key(f.w, "mods"));
	ck_assert_ptr_null(sb_workload_key(f.w, "absent"));
	ck_assert_str_eq(sb_workload_recipe_model(f.w), "org/m");
	done(&f);
}
END_TEST

START_TEST(the_model_may_be_overridden_but_not_emptied)
{
	struct sb_override o = { "model", "", "-o" };
	struct fixture f = with(BASE, "model", "other/x");

	ck_assert_str_eq(sb_workload_model(f.w), "other/x");
	ck_assert_str_eq(sb_workload_recipe_model(f.w), "org/m");
	done(&f);
	f = resolve(BASE, &o, 1, NULL, NULL, 0);
	ck_assert_int_eq(f.rc, -SB_E_INVALID);
	done(&f);
	o = (struct sb_override){ "env.", "x", "-o" };
	f = resolve(BASE, &o, 1, NULL, NULL, 0);
	ck_assert_int_eq(f.rc, -SB_E_INVALID);
	ck_assert_ptr_nonnull(strstr(f.err.text, "env.NAME=value"));
	done(&f);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("recipe");
	TCase *tc = tcase_create("recipe");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, a_wrong_recipe_is_refused_at_its_place, 0, sb_countof(refused));
	tcase_add_test(tc, a_huge_file_is_refused);
	tcase_add_test(tc, too_many_keys_are_refused);
	tcase_add_test(tc, texts_of_lists_and_maps_are_environment);
	tcase_add_loop_test(tc, what_should_be_a_map_counts_as_none, 0, sb_countof(no_maps));
	tcase_add_test(tc, remarks_have_lines_and_stop_nothing);
	tcase_add_test(tc, names_come_from_the_file);
	tcase_add_test(tc, an_override_splits_at_the_first_equals_sign);
	tcase_add_loop_test(tc, an_override_is_typed_as_published, 0, sb_countof(typed));
	tcase_add_test(tc, every_value_knows_its_origin);
	tcase_add_test(tc, numbers_are_checked_where_they_are_used);
	tcase_add_loop_test(tc, the_loose_bool_is_the_published_one_but_for_plain_words, 0,
			sb_countof(flags));
	tcase_add_test(tc, env_values_are_expanded_once);
	tcase_add_test(tc, env_values_become_text);
	tcase_add_loop_test(tc, topology_is_derived, 0, sb_countof(topologies));
	tcase_add_loop_test(tc, runtime_and_builder_are_detected, 0, sb_countof(detections));
	tcase_add_loop_test(tc, placeholders_are_substituted, 0, sb_countof(substitutions));
	tcase_add_loop_test(tc, a_cycle_is_named, 0, sb_countof(cycles));
	tcase_add_test(tc, what_does_not_settle_ends);
	tcase_add_test(tc, growth_is_capped);
	tcase_add_test(tc, the_command_is_cleaned_and_holes_are_remarked);
	tcase_add_test(tc, the_built_in_executor_is_the_least);
	tcase_add_test(tc, the_recipes_executor_is_taken_whole);
	tcase_add_test(tc, null_never_adds_rights);
	tcase_add_test(tc, overrides_beat_recipe_beats_cluster);
	tcase_add_test(tc, executor_keys_are_listed);
	tcase_add_test(tc, sizes_are_dockers);
	tcase_add_test(tc, errors_point_into_the_recipe);
	tcase_add_test(tc, the_model_may_be_overridden_but_not_emptied);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
