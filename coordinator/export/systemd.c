/* systemd.c - a rank as a unit of the system's manager, which runs the docker command in the
 * foreground. Every word is quoted where systemd would read more than itself into it: blanks and
 * quotes, '%' (its specifiers) and '$' (variables, which are the secrets' alone). */
#include <string.h>

#include "internal.h"

#define DOCKER "/usr/bin/docker"

struct unit {
	struct export e;
	struct sb_strbuf *out;
};

static void literal(struct sb_strbuf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '"' || c == '\\')
			sb_strbuf_addf(out, "\\%c", c);
		else if (c == '%' || c == '$')
			sb_strbuf_addf(out, "%c%c", c, c);
		else if (c == '\n' || c == '\t')
			sb_strbuf_adds(out, c == '\n' ? "\\n" : "\\t");
		else if ((unsigned char)c < ' ' || c == 0x7f)
			sb_strbuf_addf(out, "\\x%02x", (unsigned char)c);
		else
			sb_strbuf_addc(out, c);
	}
}

static bool is_plain(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "@+=:,./_-";

	return *text && !text[strspn(text, plain)];
}

/* One word of the command. Of the same meaning in quotes or not; without they read better. */
static void word(struct unit *u, const char *text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf ready = SB_STRBUF_INIT;

	export_text(&u->e, text, literal, &ready);
	sb_strbuf_addf(u->out, is_plain(sb_strbuf_str(&ready)) ? " %s" : " \"%s\"",
			sb_strbuf_str(&ready));
}

/* An option on a line of its own. */
static void option(struct unit *u, const char *flag, const char *value)
{
	sb_strbuf_addf(u->out, " \\\n    %s", flag);
	if (value)
		word(u, value);
}

static void set_option(struct unit *u, const char *flag, const char *value)
{
	if (*value)
		option(u, flag, value);
}

static void options(struct unit *u, const char *flag, char *const *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		option(u, flag, values[i]);
}

static void bytes_option(struct unit *u, const char *flag, uint64_t bytes)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	sb_strbuf_addf(&text, "%llu", (unsigned long long)bytes);
	if (bytes)
		option(u, flag, sb_strbuf_str(&text));
}

/* --- parts of the command --- */

static void environment(struct unit *u)
{
	const Sparkbus__RankSpec *rank = u->e.rank;

	for (size_t i = 0; i < rank->n_env; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

		/* A name alone is taken from the command's own environment: the file's. */
		sb_strbuf_adds(&text, rank->env[i]->name);
		if (!export_secret_of(&u->e, rank->env[i]))
			sb_strbuf_addf(&text, "=%s", rank->env[i]->value);
		option(u, "--env", sb_strbuf_str(&text));
	}
	if (export_sets_home(&u->e))
		option(u, "--env", "HOME=/tmp");
}

/* A bind mount by docker's own grammar, fields of CSV. */
static void mount(struct unit *u, const char *source, const char *target, bool read_only)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	sb_strbuf_addf(&text, "type=bind,source=%s,target=%s%s", source, target,
			read_only ? ",readonly" : "");
	option(u, "--mount", sb_strbuf_str(&text));
}

static int mounts(struct unit *u, struct sb_err *err)
{
	const Sparkbus__RankSpec *rank = u->e.rank;

	for (size_t i = 0; i < rank->n_mounts; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf source = SB_STRBUF_INIT;

		export_mount_source(&u->e, rank->mounts[i], &source);
		if (strpbrk(sb_strbuf_str(&source), ",\"\n") ||
				strpbrk(rank->mounts[i]->target, ",\"\n"))
			return sb_err_set(err, SB_E_INVALID,
					"mount of %s: expected a path without commas and quotes",
					sb_strbuf_str(&source));
		mount(u, sb_strbuf_str(&source), rank->mounts[i]->target,
				rank->mounts[i]->read_only);
	}
	if (u->e.mapped) {
		mount(u, "/etc/passwd", "/etc/passwd", true);
		mount(u, "/etc/group", "/etc/group", true);
	}
	return 0;
}

static void ulimits(struct unit *u)
{
	const Sparkbus__ContainerOptions *o = u->e.options;

	for (size_t i = 0; i < o->n_ulimits; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

		sb_strbuf_addf(&text, "%s=%lld:%lld", o->ulimits[i]->name,
				(long long)o->ulimits[i]->soft, (long long)o->ulimits[i]->hard);
		option(u, "--ulimit", sb_strbuf_str(&text));
	}
}

/* docker reads a list of devices as CSV, so that it wants quotes of its own. */
static void gpus(struct unit *u)
{
	const char *gpus = u->e.options->gpus;
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;

	if (*gpus == '"' || strncmp(gpus, "device=", 7) != 0) {
		set_option(u, "--gpus", gpus);
		return;
	}
	sb_strbuf_addf(&text, "\"%s\"", gpus);
	option(u, "--gpus", sb_strbuf_str(&text));
}

static void container(struct unit *u)
{
	const Sparkbus__ContainerOptions *o = u->e.options;

	set_option(u, "--user", export_user(&u->e));
	set_option(u, "--network", o->network);
	set_option(u, "--ipc", o->ipc);
	bytes_option(u, "--shm-size", o->shm_bytes);
	bytes_option(u, "--memory", o->memory_bytes);
	gpus(u);
	for (size_t i = 0; i < o->n_devices; i++)
		if (export_gives_device(&u->e, o->devices[i]))
			option(u, "--device", o->devices[i]->path);
	options(u, "--cap-add", o->cap_add, o->n_cap_add);
	options(u, "--security-opt", o->security_opt, o->n_security_opt);
	ulimits(u);
	options(u, "--label", o->labels, o->n_labels);
	if (o->privileged)
		option(u, "--privileged", NULL);
	if (o->init)
		option(u, "--init", NULL);
}

/* argv is all that runs: the image's own entrypoint would get it as arguments. */
static void command(struct unit *u)
{
	const Sparkbus__RankSpec *rank = u->e.rank;
	const Sparkbus__ContainerOptions *o = u->e.options;
	bool own = o->has_entrypoint_case ==
					SPARKBUS__CONTAINER_OPTIONS__HAS_ENTRYPOINT_ENTRYPOINT &&
			*o->entrypoint;
	size_t i = own || o->image_entrypoint ? 0 : 1;

	if (own || i)
		option(u, "--entrypoint", own ? o->entrypoint : rank->argv[0]);
	sb_strbuf_adds(u->out, " \\\n   ");
	word(u, rank->image);
	for (; i < rank->n_argv; i++)
		word(u, rank->argv[i]);
	sb_strbuf_addc(u->out, '\n');
}

/* --- the unit --- */

/* Text of a line that knows specifiers, but neither quotes nor variables. */
static void plain_text(struct unit *u, const char *text)
{
	for (; *text; text++)
		if (*text == '%')
			sb_strbuf_adds(u->out, "%%");
		else
			sb_strbuf_addc(u->out, (unsigned char)*text < ' ' ? '?' : *text);
}

static void head(struct unit *u)
{
	const Sparkbus__LaunchPlan *plan = u->e.plan;

	sb_strbuf_addf(u->out, "# Made by sparkbus export systemd: rank %u of %zu, for node %s.\n",
			u->e.rank->rank, plan->n_ranks, u->e.rank->node);
	if (plan->n_ranks > 1)
		sb_strbuf_addf(u->out,
				"# Each node runs its own unit. Nothing starts them together or "
				"watches them; stage %u\n# starts before those of a higher "
				"number.\n",
				u->e.rank->stage);
	sb_strbuf_adds(u->out, "[Unit]\nDescription=");
	plain_text(u, plan->recipe);
	sb_strbuf_adds(u->out, ": ");
	plain_text(u, plan->model);
	sb_strbuf_adds(u->out,
			"\nAfter=network-online.target docker.service\n"
			"Wants=network-online.target\nRequires=docker.service\n");
}

static const char *restart_of(const struct unit *u)
{
	static const char *const words[][2] = { { "", "on-failure" }, { "no", "no" },
		{ "always", "always" }, { "unless-stopped", "always" } };

	for (size_t i = 0; i < sb_countof(words); i++)
		if (!strcmp(words[i][0], u->e.options->restart_policy))
			return words[i][1];
	return "on-failure";
}

/* docker's own exit status for a process that SIGTERM ended is no failure. */
static void service(struct unit *u)
{
	const char *name = u->e.rank->container_name;
	unsigned grace = u->e.plan->stop_grace_s;

	sb_strbuf_addf(u->out,
			"\n[Service]\nType=exec\nRestart=%s\nRestartSec=30\n"
			"SuccessExitStatus=143 130\nTimeoutStartSec=infinity\nTimeoutStopSec=%u\n",
			restart_of(u), grace + 30);
	if (u->e.n_secrets) {
		sb_strbuf_adds(u->out, "EnvironmentFile=");
		plain_text(u, u->e.place->env_file);
		sb_strbuf_addc(u->out, '\n');
	}
	sb_strbuf_addf(u->out, "ExecStartPre=-" DOCKER " rm --force %s\n", name);
	sb_strbuf_addf(u->out, "ExecStop=" DOCKER " stop --time %u %s\n", grace, name);
	sb_strbuf_addf(u->out, "ExecStart=" DOCKER " run --rm --name %s --stop-timeout %u", name,
			grace);
}

static void write_secrets(const struct export *e, struct sb_strbuf *out)
{
	for (size_t i = 0; i < e->n_secrets; i++) {
		sb_strbuf_addf(out, "%s=\"", e->secrets[i].name);
		for (const char *p = e->secrets[i].value; *p; p++)
			sb_strbuf_addf(out, "%s%c", strchr("\"\\$`", *p) ? "\\" : "", *p);
		sb_strbuf_adds(out, "\"\n");
	}
}

int sb_export_systemd(const Sparkbus__LaunchPlan *plan, size_t rank,
		const struct sb_export_place *place, struct sb_strbuf *out,
		struct sb_strbuf *secrets, struct sb_err *err)
{
	struct unit u = { .out = out };
	int rc = export_init(&u.e, plan, rank, place, err);

	if (rc == 0 && (plan->n_files || u.e.rank->n_files)) {
		rc = sb_err_set(err, SB_E_UNSUPPORTED, "%s: a unit cannot bring files along",
				plan->n_files ? plan->files[0]->path : u.e.rank->files[0]->path);
		sb_err_hint(err, rc, "launch it by sparkbus run, or export compose");
	}
	if (rc < 0)
		return rc;
	head(&u);
	service(&u);
	environment(&u);
	rc = mounts(&u, err);
	if (rc < 0)
		return rc;
	container(&u);
	command(&u);
	sb_strbuf_adds(out, "\n[Install]\nWantedBy=multi-user.target\n");
	write_secrets(&u.e, secrets);
	return out->failed || secrets->failed ? sb_err_nomem(err) : 0;
}
