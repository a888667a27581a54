/* facts.c - what is known of a launch: a table of named facts, and two open families, flags and
 * variables. */
#include <string.h>

#include "internal.h"

static const struct {
	const char *name;
	enum sb_fact_kind kind;
	const char *meaning;
} table[] = {
	{ "run.engine", SB_FACT_TEXT, "vllm, sglang, llama-cpp, trtllm, atlas" },
	{ "run.runtime", SB_FACT_TEXT, "the recipe format's name of the runtime" },
	{ "run.nodes", SB_FACT_NUMBER, "nodes of the launch" },
	{ "run.tp", SB_FACT_NUMBER, "tensor parallel size" },
	{ "run.gpus", SB_FACT_NUMBER, "tensor x pipeline x data parallel size" },
	{ "run.entrypoint", SB_FACT_TEXT,
			"entrypoint before the command; 'none', or 'image' = the image's own" },
	{ "run.ipc", SB_FACT_TEXT, "ipc mode of the container" },
	{ "run.shm_gib", SB_FACT_NUMBER, "size of /dev/shm" },
	{ "run.memory_gib", SB_FACT_NUMBER, "memory limit of the container" },
	{ "run.network", SB_FACT_TEXT, "network mode of the container" },
	{ "run.restart", SB_FACT_TEXT, "restart policy of the container" },
	{ "run.user", SB_FACT_TEXT, "user in the container" },
	{ "run.device", SB_FACT_TEXT, "devices given to the container" },
	{ "run.ulimit", SB_FACT_TEXT, "limits, as name=soft" },
	{ "run.privileged", SB_FACT_FLAG, "the container has every device" },
	{ "run.needs_vllm", SB_FACT_VERSION, "least vLLM for what the command asks" },
	{ "run.published", SB_FACT_FLAG, "the port is published without host networking" },
	{ "mount.target", SB_FACT_TEXT, "folders of the container that outlive it" },
	{ "mount.by_author", SB_FACT_FLAG, "the recipe's author can add mounts" },
	{ "command.first", SB_FACT_TEXT, "first word of the serve command" },
	{ "command.program", SB_FACT_TEXT, "its first two words" },
	{ "command.text", SB_FACT_TEXT, "the whole serve command" },
	{ "hook.before", SB_FACT_TEXT, "commands of pre_exec, which run before it" },
	{ "image.ref", SB_FACT_TEXT, "the image as given" },
	{ "image.repo", SB_FACT_TEXT, "without tag and digest" },
	{ "image.tag", SB_FACT_TEXT, "latest when none is given" },
	{ "image.digest", SB_FACT_TEXT, "the pinned digest" },
	{ "image.arch", SB_FACT_TEXT, "architectures that the registry offers" },
	{ "image.family", SB_FACT_TEXT, "ngc, upstream, aeon, zlab, eugr, scitrera, other" },
	{ "image.ngc", SB_FACT_VERSION, "release of an ngc image: 26.04" },
	{ "image.vllm", SB_FACT_VERSION, "vLLM in the image" },
	{ "image.moving", SB_FACT_FLAG, "the tag will point to another image" },
	{ "image.ray", SB_FACT_FLAG, "has Ray" },
	{ "image.tracks", SB_FACT_TEXT,
			"architectures that it has: classic, gemma4, nightly, ..." },
	{ "image.interleaved_swa", SB_FACT_FLAG, "has interleaved sliding windows (PR 40898)" },
	{ "image.patched_fp4", SB_FACT_FLAG, "has the FP4 repairs for GB10" },
	{ "model.id", SB_FACT_TEXT, "Hugging Face id or path that is served" },
	{ "model.org", SB_FACT_TEXT, "before the slash; absent for a path" },
	{ "model.name", SB_FACT_TEXT, "after the last slash" },
	{ "model.family", SB_FACT_TEXT, "row of the table of models; other" },
	{ "model.quant", SB_FACT_TEXT, "weights: bf16, fp8, nvfp4, mxfp4, awq, int4, gguf, mixed" },
	{ "model.quant_method", SB_FACT_TEXT,
			"method of its config: modelopt, compressed-tensors" },
	{ "model.moe", SB_FACT_FLAG, "mixture of experts" },
	{ "model.layers", SB_FACT_TEXT, "attention, gdn (linear attention), mamba, diffusion" },
	{ "model.thinks", SB_FACT_FLAG, "writes its thoughts before the answer" },
	{ "model.tool_parser", SB_FACT_TEXT, "parsers that fit its tool calls" },
	{ "model.reasoning_parser", SB_FACT_TEXT, "parsers that fit its thoughts" },
	{ "model.native_len", SB_FACT_NUMBER, "context that it was trained for, in tokens" },
	{ "model.gated", SB_FACT_FLAG, "the hub wants a token" },
	{ "model.custom_code", SB_FACT_FLAG, "loads code from its repository" },
	{ "model.uncensored", SB_FACT_FLAG, "without safety alignment" },
	{ "model.max_tp", SB_FACT_NUMBER, "largest tensor parallel size that it can" },
	{ "model.params_b", SB_FACT_NUMBER, "parameters, in billions" },
	{ "model.active_b", SB_FACT_NUMBER, "parameters used for a token, in billions" },
	{ "model.bytes_per_param", SB_FACT_NUMBER, "bytes of weights for a parameter" },
	{ "model.weights_gb", SB_FACT_NUMBER, "weights, in GB" },
	{ "model.kv_dtype", SB_FACT_TEXT, "KV type that the checkpoint itself asks for" },
	{ "model.mtp", SB_FACT_FLAG, "has heads or a paired draft for MTP" },
	{ "model.drafter", SB_FACT_TEXT, "DFlash drafters made for it" },
	{ "model.track", SB_FACT_TEXT, "what an image must have for it (image.tracks)" },
	{ "model.max_seqs", SB_FACT_NUMBER, "streams at a time that its recipe allows" },
	{ "model.file_date", SB_FACT_NUMBER, "day of the local drafter's files, as 20260419" },
	{ "recipe.tested", SB_FACT_TEXT, "flags that metadata.tested says were measured" },
	{ "recipe.tag", SB_FACT_TEXT, "metadata.tags: agent, code, rag, json, prose, audio, ..." },
	{ "recipe.accepted", SB_FACT_TEXT,
			"rules that metadata.accept lives with, each with its reason" },
	{ "recipe.users", SB_FACT_NUMBER, "metadata.concurrency: requests at a time" },
	{ "mem.need_gib", SB_FACT_NUMBER, "weights, 4 GiB and one longest sequence, on one node" },
	{ "mem.share_gib", SB_FACT_NUMBER, "what the utilization gives on one node" },
	{ "mem.kv_seq_gib", SB_FACT_NUMBER, "KV cache of one longest sequence, on one node" },
	{ "mem.pool_tokens", SB_FACT_NUMBER, "tokens that the KV pool will hold" },
	{ "mem.asked_tokens", SB_FACT_NUMBER, "max-num-seqs x max-model-len" },
	{ "mem.pool_ratio", SB_FACT_NUMBER, "pool over asked" },
	{ "mem.util_total", SB_FACT_NUMBER, "utilization of this launch and of jobs on the node" },
	{ "node.gpu", SB_FACT_TEXT, "architecture: sm121" },
	{ "node.usable_gib", SB_FACT_NUMBER, "memory that an engine can use" },
	{ "node.driver", SB_FACT_VERSION, "NVIDIA driver" },
	{ "node.util_others", SB_FACT_NUMBER, "utilization of the jobs that run there" },
	{ "node.mem_available_gib", SB_FACT_NUMBER, "MemAvailable" },
	{ "node.mem_free_gib", SB_FACT_NUMBER, "MemFree" },
	{ "node.page_cache_gib", SB_FACT_NUMBER, "page cache" },
	{ "node.roce", SB_FACT_FLAG, "an active RoCE link between the nodes" },
	{ "node.fabric_if", SB_FACT_TEXT, "interfaces of the fabric" },
	{ "node.blocked_port", SB_FACT_NUMBER, "ports that other nodes cannot reach" },
	{ "node.port_free", SB_FACT_FLAG, "the engine's port is free" },
	{ "node.same_software", SB_FACT_FLAG, "image digest, driver and firmware are one" },
	{ "node.weights", SB_FACT_TEXT, "weights on every node: same, differ, missing" },
	{ "node.parser_file", SB_FACT_FLAG, "the parser plugin is where the flag says" },
	{ "node.trusted_lan", SB_FACT_FLAG, "whoever reaches the port may use it" },
	{ "node.cache_owner", SB_FACT_TEXT, "who owns the model cache: user, root" },
	{ "job.quick_exits", SB_FACT_NUMBER, "ends within 60 s of a start" },
	{ "job.seen", SB_FACT_TEXT, "garbled, loops, bad_template, oom" },
	{ "job.ignored_env", SB_FACT_TEXT, "variables that the engine said it does not know" },
	{ "client.max_tokens", SB_FACT_NUMBER, "what clients ask for" },
	{ "client.address", SB_FACT_TEXT, "address that clients use" },
	{ "client.in_container", SB_FACT_FLAG, "clients run in containers of their own" },
	{ "client.thinking", SB_FACT_FLAG, "clients turn thinking on" },
};

enum { N_FACTS = sb_countof(table) };
const size_t lint_n_facts = N_FACTS;

struct named {
	char *name;
	struct fact fact;
};
struct sb_facts {
	struct fact fixed[N_FACTS];
	struct named *open;
	size_t n_open;
	bool flags_closed, env_closed;
	struct sb_place command;
};

static const char *const open_families[] = { "flag.", "env." };

const char *sb_fact_at(size_t i, enum sb_fact_kind *ret_kind, const char **ret_meaning)
{
	if (i >= N_FACTS)
		return NULL;
	*ret_kind = table[i].kind;
	*ret_meaning = table[i].meaning;
	return table[i].name;
}

bool lint_fact_name(const char *text, struct fact_name *ret)
{
	for (size_t i = 0; i < sb_countof(open_families); i++) {
		size_t len = strlen(open_families[i]);

		if (!strncmp(text, open_families[i], len) && text[len]) {
			*ret = (struct fact_name){ text, FACT_OPEN, SB_FACT_TEXT };
			return true;
		}
	}
	for (size_t i = 0; i < N_FACTS; i++)
		if (!strcmp(text, table[i].name)) {
			*ret = (struct fact_name){ text, (int)i, table[i].kind };
			return true;
		}
	return false;
}

int sb_facts_new(struct sb_facts **ret, struct sb_err *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : sb_err_nomem(err);
}

static void fact_done(struct fact *fact)
{
	for (size_t i = 0; i < fact->n; i++)
		free(fact->texts[i]);
	free(fact->texts);
	free((char *)fact->place.origin);
}

void sb_facts_free(struct sb_facts *facts)
{
	if (!facts)
		return;
	for (size_t i = 0; i < N_FACTS; i++)
		fact_done(&facts->fixed[i]);
	for (size_t i = 0; i < facts->n_open; i++) {
		free(facts->open[i].name);
		fact_done(&facts->open[i].fact);
	}
	free(facts->open);
	free(facts);
}

/* --- reading --- */

static const struct named *find_open(const struct sb_facts *facts, const char *name, size_t len)
{
	for (size_t i = 0; i < facts->n_open; i++)
		if (!strncmp(facts->open[i].name, name, len) && !facts->open[i].name[len])
			return &facts->open[i];
	return NULL;
}

/* A member of a value that cannot be read cannot be known either. */
static bool in_opaque(const struct sb_facts *facts, const char *name)
{
	const char *dot = strchr(name, '.');

	while ((dot = strchr(dot + 1, '.'))) {
		const struct named *outer = find_open(facts, name, (size_t)(dot - name));

		if (outer && outer->fact.opaque)
			return true;
	}
	return false;
}

const struct fact *lint_fact(const struct sb_facts *facts, const struct fact_name *name)
{
	static const struct fact unknown = { .state = FACT_UNKNOWN };
	static const struct fact absent = { .state = FACT_ABSENT };
	const struct named *named;

	if (name->id != FACT_OPEN)
		return &facts->fixed[name->id];
	named = find_open(facts, name->text, strlen(name->text));
	if (named)
		return &named->fact;
	if (!(name->text[0] == 'f' ? facts->flags_closed : facts->env_closed))
		return &unknown;
	return in_opaque(facts, name->text) ? &unknown : &absent;
}

bool lint_number(const char *text, double *ret)
{
	static const struct {
		char letter;
		double scale;
	} suffixes[] = { { 'k', 1e3 }, { 'K', 1024 }, { 'm', 1e6 }, { 'M', 1048576 }, { 'g', 1e9 },
		{ 'G', 1073741824 } };
	char *end;
	double value = strtod(text, &end);

	if (end == text || text[strspn(text, "+-.0123456789eEkKmMgG")] ||
			!(value > -1e18 && value < 1e18))
		return false;
	for (size_t i = 0; *end && i < sb_countof(suffixes); i++)
		if (*end == suffixes[i].letter) {
			value *= suffixes[i].scale;
			end++;
			break;
		}
	if (*end)
		return false;
	*ret = value;
	return true;
}

const char *sb_facts_text(const struct sb_facts *facts, const char *name)
{
	struct fact_name key;
	const struct fact *fact;

	if (!lint_fact_name(name, &key))
		return NULL;
	fact = lint_fact(facts, &key);
	return fact->state == FACT_SET && !fact->opaque && fact->n ? fact->texts[0] : NULL;
}

bool lint_fact_number(const struct sb_facts *facts, const char *name, double *ret)
{
	const char *text = sb_facts_text(facts, name);

	return text && lint_number(text, ret);
}

struct sb_place lint_command_place(const struct sb_facts *facts)
{
	return facts->command;
}

/* --- writing --- */

void lint_set_command_place(struct sb_facts *facts, const struct sb_place *place)
{
	facts->command = *place;
}

void sb_facts_close(struct sb_facts *facts, const char *what)
{
	if (!strcmp(what, "flag"))
		facts->flags_closed = true;
	else
		facts->env_closed = true;
}

static int open_fact(
		struct sb_facts *facts, const char *name, struct fact **ret, struct sb_err *err)
{
	const struct named *old = find_open(facts, name, strlen(name));
	struct named *open;

	if (old) {
		*ret = (struct fact *)&old->fact;
		return 0;
	}
	if (facts->n_open >= SB_FACT_NAMES_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %u flags and variables",
				SB_FACT_NAMES_MAX);
	open = reallocarray(facts->open, facts->n_open + 1, sizeof(*open));
	if (!open)
		return sb_err_nomem(err);
	facts->open = open;
	open[facts->n_open] = (struct named){ .name = strdup(name) };
	if (!open[facts->n_open].name)
		return sb_err_nomem(err);
	*ret = &open[facts->n_open++].fact;
	return 0;
}

static int find(struct sb_facts *facts, const char *name, struct fact **ret, struct sb_err *err)
{
	struct fact_name key;

	if (!lint_fact_name(name, &key))
		return sb_err_set(err, SB_E_INVALID, "'%.80s' is not a fact", name);
	if (key.id == FACT_OPEN)
		return open_fact(facts, name, ret, err);
	*ret = &facts->fixed[key.id];
	return 0;
}

static int put_place(struct fact *fact, const struct sb_place *place, struct sb_err *err)
{
	char *origin = NULL;

	fact->state = FACT_SET;
	if (!place || fact->place.line || fact->place.origin)
		return 0;
	if (place->origin && !(origin = strdup(place->origin)))
		return sb_err_nomem(err);
	fact->place = (struct sb_place){ place->line, place->col, origin };
	return 0;
}

int sb_facts_set(struct sb_facts *facts, const char *name, const char *text,
		const struct sb_place *place, struct sb_err *err)
{
	struct fact *fact = NULL;
	char **texts;
	int rc = find(facts, name, &fact, err);

	if (rc < 0)
		return rc;
	if (fact->n >= SB_FACT_TEXTS_MAX)
		return sb_err_set(err, SB_E_RANGE, "%.80s: more than %u values", name,
				SB_FACT_TEXTS_MAX);
	texts = reallocarray(fact->texts, fact->n + 1, sizeof(*texts));
	if (!texts)
		return sb_err_nomem(err);
	fact->texts = texts;
	texts[fact->n] = strdup(text);
	if (!texts[fact->n])
		return sb_err_nomem(err);
	fact->n++;
	return put_place(fact, place, err);
}

int sb_facts_opaque(struct sb_facts *facts, const char *name, const struct sb_place *place,
		struct sb_err *err)
{
	struct fact *fact = NULL;
	int rc = find(facts, name, &fact, err);

	if (rc < 0)
		return rc;
	fact->opaque = true;
	return put_place(fact, place, err);
}

void lint_forget(struct sb_facts *facts, const char *name)
{
	size_t len = strlen(name), kept = 0;

	for (size_t i = 0; i < facts->n_open; i++) {
		struct named *open = &facts->open[i];

		if (!strncmp(open->name, name, len) &&
				(!open->name[len] || open->name[len] == '.')) {
			free(open->name);
			fact_done(&open->fact);
		} else {
			facts->open[kept++] = *open;
		}
	}
	facts->n_open = kept;
}

int sb_facts_absent(struct sb_facts *facts, const char *name, struct sb_err *err)
{
	struct fact *fact = NULL;
	int rc = find(facts, name, &fact, err);

	if (rc < 0)
		return rc;
	if (fact->state == FACT_UNKNOWN)
		fact->state = FACT_ABSENT;
	return 0;
}
