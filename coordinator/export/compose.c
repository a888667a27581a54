/* compose.c - a rank as a Docker Compose file. Every text is quoted, and a '$' is doubled: compose
 * puts variables in everywhere. */
#include <string.h>

#include "internal.h"
#include "sb_yaml.h"

static void literal(struct sb_strbuf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sb_strbuf_adds(out, text[i] == '$' ? "$$" : (char[]){ text[i], '\0' });
}

struct compose {
	struct export e;
	struct sb_strbuf *out;
	int rc; /* the first failure */
};

static void quoted(struct compose *c, const char *ready)
{
	int rc = sb_yaml_write_scalar(c->out, ready);

	c->rc = c->rc ? c->rc : rc;
}

/* Text as it is, secrets by their variables. */
static void text(struct compose *c, const char *plain)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf ready = SB_STRBUF_INIT;

	export_text(&c->e, plain, literal, &ready);
	quoted(c, sb_strbuf_str(&ready));
}

static void field(struct compose *c, const char *key, const char *value)
{
	if (!*value)
		return;
	sb_strbuf_addf(c->out, "    %s: ", key);
	text(c, value);
	sb_strbuf_addc(c->out, '\n');
}

static void list(struct compose *c, const char *key, char *const *items, size_t n)
{
	if (n)
		sb_strbuf_addf(c->out, "    %s:\n", key);
	for (size_t i = 0; i < n; i++) {
		sb_strbuf_adds(c->out, "      - ");
		text(c, items[i]);
		sb_strbuf_addc(c->out, '\n');
	}
}

/* --- parts of the service --- */

/* argv is all that runs: the image's own entrypoint would get it as arguments. */
static void command(struct compose *c)
{
	const Sparkbus__RankSpec *rank = c->e.rank;
	const Sparkbus__ContainerOptions *o = c->e.options;
	bool own = o->has_entrypoint_case ==
					SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT &&
			*o->entrypoint;
	size_t skip = own || o->image_entrypoint ? 0 : 1;

	if (own)
		list(c, "entrypoint", &(char *){ o->entrypoint }, 1);
	else if (skip)
		list(c, "entrypoint", rank->argv, 1);
	if (rank->n_argv > skip)
		list(c, "command", rank->argv + skip, rank->n_argv - skip);
	else
		sb_strbuf_adds(c->out, "    command: []\n");
}

static void environment(struct compose *c)
{
	const Sparkbus__RankSpec *rank = c->e.rank;

	if (rank->n_env)
		sb_strbuf_adds(c->out, "    environment:\n");
	for (size_t i = 0; i < rank->n_env; i++) {
		const char *secret = export_secret_of(&c->e, rank->env[i]);

		sb_strbuf_adds(c->out, "      ");
		quoted(c, rank->env[i]->name);
		sb_strbuf_adds(c->out, ": ");
		if (secret)
			sb_strbuf_addf(c->out, "\"${%s:?is to be in the file .env}\"", secret);
		else
			text(c, rank->env[i]->value);
		sb_strbuf_addc(c->out, '\n');
	}
	if (export_sets_home(&c->e))
		sb_strbuf_adds(c->out, "      HOME: /tmp\n");
}

/* In the long form an absent source is an error, and a ':' is nothing special. */
static void mount(struct compose *c, const char *source, const char *target, bool read_only)
{
	sb_strbuf_adds(c->out, "      - type: bind\n        source: ");
	text(c, source);
	sb_strbuf_adds(c->out, "\n        target: ");
	text(c, target);
	sb_strbuf_addf(c->out, "\n%s", read_only ? "        read_only: true\n" : "");
}

static void mounts(struct compose *c)
{
	static const char *const accounts[] = { "/etc/passwd", "/etc/group" };
	const Sparkbus__RankSpec *rank = c->e.rank;

	if (rank->n_mounts || c->e.mapped)
		sb_strbuf_adds(c->out, "    volumes:\n");
	for (size_t i = 0; i < rank->n_mounts; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf source = SB_STRBUF_INIT;

		export_mount_source(&c->e, rank->mounts[i], &source);
		mount(c, sb_strbuf_str(&source), rank->mounts[i]->target,
				rank->mounts[i]->read_only);
	}
	for (size_t i = 0; c->e.mapped && i < sb_countof(accounts); i++)
		mount(c, accounts[i], accounts[i], true);
}

static void devices(struct compose *c)
{
	const Sparkbus__ContainerOptions *o = c->e.options;
	bool begun = false;

	for (size_t i = 0; i < o->n_devices; i++) {
		if (!export_gives_device(&c->e, o->devices[i]))
			continue;
		sb_strbuf_adds(c->out, begun ? "" : "    devices:\n");
		begun = true;
		sb_strbuf_adds(c->out, "      - ");
		text(c, o->devices[i]->path);
		sb_strbuf_addc(c->out, '\n');
	}
}

static void ulimits(struct compose *c)
{
	const Sparkbus__ContainerOptions *o = c->e.options;

	if (o->n_ulimits)
		sb_strbuf_adds(c->out, "    ulimits:\n");
	for (size_t i = 0; i < o->n_ulimits; i++)
		sb_strbuf_addf(c->out, "      %s:\n        soft: %lld\n        hard: %lld\n",
				o->ulimits[i]->name, (long long)o->ulimits[i]->soft,
				(long long)o->ulimits[i]->hard);
}

/* "all", a count, or "device=ID,...", which may be quoted once more. */
static void gpus(struct compose *c)
{
	const char *word = c->e.options->gpus;
	size_t len;

	if (!*word)
		return;
	word += *word == '"';
	sb_strbuf_adds(c->out,
			"    deploy:\n      resources:\n        reservations:\n"
			"          devices:\n            - driver: nvidia\n"
			"              capabilities: [gpu]\n");
	if (strncmp(word, "device=", 7) != 0) {
		sb_strbuf_addf(c->out, "              count: %s\n", word);
		return;
	}
	sb_strbuf_adds(c->out, "              device_ids:\n");
	for (word += 7; (len = strcspn(word, ",\"")) > 0; word += len + (word[len] == ',')) {
		sb_strbuf_adds(c->out, "                - \"");
		sb_strbuf_add(c->out, word, len);
		sb_strbuf_adds(c->out, "\"\n");
	}
}

static void limits(struct compose *c)
{
	const Sparkbus__ContainerOptions *o = c->e.options;

	if (o->shm_bytes)
		sb_strbuf_addf(c->out, "    shm_size: \"%llu\"\n",
				(unsigned long long)o->shm_bytes);
	if (o->memory_bytes)
		sb_strbuf_addf(c->out, "    mem_limit: \"%llu\"\n",
				(unsigned long long)o->memory_bytes);
	if (o->privileged)
		sb_strbuf_adds(c->out, "    privileged: true\n");
	if (o->init)
		sb_strbuf_adds(c->out, "    init: true\n");
}

/* --- files --- */

static bool is_text(const Sparkbus__File *file)
{
	const char *bytes = (const char *)file->content.data;

	return !file->content.len || !memchr(bytes, '\0', file->content.len);
}

/* Where a file's content is; secret ones come from the .env file. */
static void file_use(struct compose *c, const Sparkbus__File *file, size_t i)
{
	sb_strbuf_addf(c->out, "      - source: file%zu\n        target: ", i);
	text(c, file->path);
	sb_strbuf_addf(c->out, "\n        mode: 0%o\n", file->mode ? file->mode : 0644);
}

static void file_text(struct compose *c, const Sparkbus__File *file, size_t i)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf content = SB_STRBUF_INIT;

	sb_strbuf_add(&content, file->content.data, file->content.len);
	sb_strbuf_addf(c->out, "  file%zu:\n    content: ", i);
	text(c, sb_strbuf_str(&content));
	sb_strbuf_addc(c->out, '\n');
}

static size_t count_files(const struct compose *c)
{
	return c->e.plan->n_files + c->e.rank->n_files;
}

static const Sparkbus__File *file_at(const struct compose *c, size_t i)
{
	size_t n = c->e.plan->n_files;

	return i < n ? c->e.plan->files[i] : c->e.rank->files[i - n];
}

static int check_files(const struct compose *c, struct sb_err *err)
{
	for (size_t i = 0; i < count_files(c); i++)
		if (!is_text(file_at(c, i)) || file_at(c, i)->secret)
			return sb_err_set(err, SB_E_UNSUPPORTED,
					"%s: a compose file cannot hold %s", file_at(c, i)->path,
					file_at(c, i)->secret ? "secret files"
							      : "bytes that are no text");
	return 0;
}

static void files(struct compose *c, bool contents)
{
	if (!count_files(c))
		return;
	sb_strbuf_adds(c->out, contents ? "configs:\n" : "    configs:\n");
	for (size_t i = 0; i < count_files(c); i++)
		(contents ? file_text : file_use)(c, file_at(c, i), i);
}

/* --- the file --- */

static void head(struct compose *c)
{
	const Sparkbus__LaunchPlan *plan = c->e.plan;

	sb_strbuf_addf(c->out, "# Made by sparkbus export compose: rank %u of %zu, for node %s.\n",
			c->e.rank->rank, plan->n_ranks, c->e.rank->node);
	if (plan->n_ranks > 1)
		sb_strbuf_addf(c->out,
				"# Each node runs its own file. Nothing starts them together or "
				"watches them; stage %u\n# starts before those of a higher "
				"number.\n",
				c->e.rank->stage);
	sb_strbuf_adds(c->out, "x-sparkbus-job: ");
	quoted(c, plan->job);
	sb_strbuf_adds(c->out, "\nservices:\n  ");
	sb_strbuf_addf(c->out, "rank%u:\n", c->e.rank->rank);
}

static void write_secrets(const struct export *e, struct sb_strbuf *out)
{
	for (size_t i = 0; i < e->n_secrets; i++) {
		const char *value = e->secrets[i].value;
		bool plain = !strpbrk(value, "'\n");

		sb_strbuf_addf(out, "%s=%c", e->secrets[i].name, plain ? '\'' : '"');
		for (; *value; value++)
			if (!plain && *value == '\n')
				sb_strbuf_adds(out, "\\n");
			else
				sb_strbuf_addf(out, "%s%c",
						!plain && strchr("\"\\$", *value) ? "\\" : "",
						*value);
		sb_strbuf_adds(out, plain ? "'\n" : "\"\n");
	}
}

int sb_export_compose(const Sparkbus__LaunchPlan *plan, size_t rank,
		const struct sb_export_place *place, struct sb_strbuf *out,
		struct sb_strbuf *secrets, struct sb_err *err)
{
	struct compose c = { .out = out };
	int rc = export_init(&c.e, plan, rank, place, err);

	if (rc == 0)
		rc = check_files(&c, err);
	if (rc < 0)
		return rc;
	head(&c);
	field(&c, "image", c.e.rank->image);
	field(&c, "container_name", c.e.rank->container_name);
	command(&c);
	environment(&c);
	field(&c, "user", export_user(&c.e));
	field(&c, "network_mode", c.e.options->network);
	field(&c, "ipc", c.e.options->ipc);
	mounts(&c);
	devices(&c);
	list(&c, "cap_add", c.e.options->cap_add, c.e.options->n_cap_add);
	list(&c, "security_opt", c.e.options->security_opt, c.e.options->n_security_opt);
	ulimits(&c);
	limits(&c);
	list(&c, "labels", c.e.options->labels, c.e.options->n_labels);
	field(&c, "restart", *c.e.options->restart_policy ? c.e.options->restart_policy : "no");
	sb_strbuf_addf(out, "    stop_grace_period: %us\n", plan->stop_grace_s);
	gpus(&c);
	files(&c, false);
	files(&c, true);
	write_secrets(&c.e, secrets);
	if (c.rc == -SB_E_INVALID)
		return sb_err_set(err, SB_E_INVALID,
				"the launch has bytes that no YAML file can have; expected UTF-8");
	return c.rc || out->failed || secrets->failed ? sb_err_nomem(err) : 0;
}
