/* files.c - compose files and units of a plan, read back as compose and systemd read them: the
 * container in them must be the plan's. */
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "sb_export.h"
#include "sb_shellwords.h"

static const struct sb_export_place place = {
	.hf_cache = "/cache dir/$x/%h", .user = "7:8", .env_file = "/etc/sparkbus/x.env"
};

/* --- variables --- */

/* The value of @name of @len bytes in the lines of a secrets' file, quotes taken off. */
static void add_secret(const char *secrets, const char *name, size_t len, struct sb_strbuf *out)
{
	const char *line = secrets;

	while (*line && (strncmp(line, name, len) != 0 || line[len] != '='))
		line += strcspn(line, "\n") + 1;
	if (!*line)
		return;
	for (line += len + 2; *line && *line != line[-1] && *line != '"' && *line != '\''; line++) {
		line += *line == '\\';
		sb_strbuf_addc(out, *line);
	}
}

/* "$$" is '$', "${NAME}" and "${NAME:?why}" are what the secrets' file has. */
static char *expanded(const char *text, const char *secrets)
{
	struct sb_strbuf out = SB_STRBUF_INIT;

	for (; *text; text++) {
		if (text[0] == '$' && text[1] == '$') {
			sb_strbuf_addc(&out, *text++);
		} else if (text[0] == '$' && text[1] == '{') {
			add_secret(secrets, text + 2, strcspn(text + 2, ":}"), &out);
			text += strcspn(text, "}");
		} else {
			sb_strbuf_addc(&out, *text);
		}
	}
	return sb_strbuf_steal(&out);
}

/* --- compose --- */

static void compare_list(struct golden_case *c, const struct sb_yaml_node *service, const char *key,
		const char *secrets, char *const *want, size_t n)
{
	const struct sb_yaml_node *list = sb_yaml_get(service, key);

	if (sb_yaml_size(list) != n)
		golden_differ(c, "compose", key, "another number of items");
	for (size_t i = 0; i < n && i < sb_yaml_size(list); i++) {
		SB_CLEANUP(sb_freep)
		char *got = expanded(sb_yaml_str(sb_yaml_at(list, i)), secrets);

		if (sb_yaml_type(sb_yaml_at(list, i)) != SB_YAML_STR)
			golden_differ(c, "compose", want[i], "no text");
		golden_compare(c, "compose", want[i], got ? got : "");
	}
}

static void check_env(struct golden_case *c, const struct sb_yaml_node *service,
		const char *secrets, const Sparkbus__RankSpec *rank)
{
	const struct sb_yaml_node *env = sb_yaml_get(service, "environment");

	for (size_t i = 0; i < rank->n_env; i++) {
		const struct sb_yaml_node *node = sb_yaml_get(env, rank->env[i]->name);
		SB_CLEANUP(sb_freep) char *got = expanded(sb_yaml_str(node), secrets);

		golden_compare(c, "compose", rank->env[i]->value, node && got ? got : "(unset)");
	}
}

static void check_compose(struct golden_case *c, const struct sb_strbuf *text, const char *secrets,
		const Sparkbus__RankSpec *rank)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	const struct sb_yaml_node *service, *volume;
	const Sparkbus__ContainerOptions *o = rank->options;
	bool own = o->has_entrypoint_case && *o->entrypoint;
	size_t skip = own || o->image_entrypoint ? 0 : 1;
	struct sb_err err = SB_ERR_INIT;

	if (sb_yaml_parse("compose", sb_strbuf_str(text), text->len, NULL, NULL, &doc, &err) < 0) {
		golden_differ(c, "compose", "(a YAML file)", err.text);
		return;
	}
	service = sb_yaml_at(sb_yaml_get(sb_yaml_root(doc), "services"), 0);
	if (own)
		compare_list(c, service, "entrypoint", secrets, &(char *){ o->entrypoint }, 1);
	else if (skip)
		compare_list(c, service, "entrypoint", secrets, rank->argv, 1);
	compare_list(c, service, "command", secrets, rank->argv + skip, rank->n_argv - skip);
	compare_list(c, service, "labels", secrets, o->labels, o->n_labels);
	compare_list(c, service, "cap_add", secrets, o->cap_add, o->n_cap_add);
	compare_list(c, service, "security_opt", secrets, o->security_opt, o->n_security_opt);
	check_env(c, service, secrets, rank);
	volume = sb_yaml_at(sb_yaml_get(service, "volumes"), 0);
	golden_compare(c, "compose", "/cache dir/$$x/%h",
			sb_yaml_str(sb_yaml_get(volume, "source")));
	golden_compare(c, "compose", rank->image, sb_yaml_str(sb_yaml_get(service, "image")));
}

/* --- systemd --- */

/* A backslash and what is behind it, inside quotes. Return: bytes read. */
static size_t unescape(const char *s, struct sb_strbuf *out)
{
	static const char names[] = "nt", values[] = "\n\t";
	const char *at = s[1] ? strchr(names, s[1]) : NULL;
	char hex[3] = { 0 };

	if (s[1] == 'x' && s[2] && s[3]) {
		memcpy(hex, s + 2, 2);
		sb_strbuf_addc(out, (char)strtoul(hex, NULL, 16));
		return 4;
	}
	sb_strbuf_addc(out, at ? values[at - names] : s[1]);
	return 2;
}

/* Split as systemd does: quotes, escapes in them, then "%%", then variables. */
static void split(const char *line, const char *secrets, struct sb_words *ret)
{
	while (*(line += strspn(line, " "))) {
		SB_CLEANUP(sb_strbuf_done)
		struct sb_strbuf raw = SB_STRBUF_INIT, once = SB_STRBUF_INIT;
		SB_CLEANUP(sb_freep) char *word = NULL;
		bool quoted = *line == '"';

		for (line += quoted; *line && *line != (quoted ? '"' : ' ');)
			if (*line == '\\')
				line += unescape(line, &raw);
			else
				sb_strbuf_addc(&raw, *line++);
		line += quoted && *line;
		for (const char *p = sb_strbuf_str(&raw); *p; p++) {
			sb_strbuf_addc(&once, *p);
			p += p[0] == '%' && p[1] == '%';
		}
		word = expanded(sb_strbuf_str(&once), secrets);
		if (!word || sb_words_add(ret, word) < 0)
			abort();
	}
}

/* The words of ExecStart, lines joined. */
static void exec_start(const struct sb_strbuf *unit, const char *secrets, struct sb_words *ret)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	const char *at = strstr(sb_strbuf_str(unit), "\nExecStart=");

	for (at = at ? at + strlen("\nExecStart=") : ""; *at && *at != '\n'; at++)
		if (at[0] == '\\' && at[1] == '\n')
			sb_strbuf_addc(&line, *++at == '\n' ? ' ' : *at);
		else
			sb_strbuf_addc(&line, *at);
	split(sb_strbuf_str(&line), secrets, ret);
}

static void check_unit(struct golden_case *c, const struct sb_strbuf *text, const char *secrets,
		const Sparkbus__RankSpec *rank)
{
	SB_CLEANUP(sb_words_done) struct sb_words words = { 0 };
	const Sparkbus__ContainerOptions *o = rank->options;
	bool own = o->has_entrypoint_case && *o->entrypoint;
	size_t skip = own || o->image_entrypoint ? 0 : 1, n = rank->n_argv - skip, env = 0;

	exec_start(text, secrets, &words);
	if (words.n < n + 1) {
		golden_differ(c, "systemd", rank->serve_text, "too few words");
		return;
	}
	for (size_t i = 0; i < n; i++)
		golden_compare(c, "systemd", rank->argv[skip + i], words.items[words.n - n + i]);
	golden_compare(c, "systemd", rank->image, words.items[words.n - n - 1]);
	if (skip)
		golden_compare(c, "systemd", rank->argv[0], sb_words_flag(&words, "--entrypoint"));
	for (size_t i = 0; i + 1 < words.n - n && env < rank->n_env; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf want = SB_STRBUF_INIT;

		if (strcmp(words.items[i], "--env") != 0)
			continue;
		sb_strbuf_adds(&want, rank->env[env]->name);
		if (!rank->env[env]->secret || !*rank->env[env]->value)
			sb_strbuf_addf(&want, "=%s", rank->env[env]->value);
		golden_compare(c, "systemd", sb_strbuf_str(&want), words.items[i + 1]);
		env++;
	}
}

/* --- both --- */

typedef int (*make_fn)(const Sparkbus__LaunchPlan *plan, size_t rank,
		const struct sb_export_place *where, struct sb_strbuf *out,
		struct sb_strbuf *secrets, struct sb_err *err);

static void check(struct golden_case *c, const Sparkbus__LaunchPlan *plan, size_t rank,
		bool is_compose)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT, secrets = SB_STRBUF_INIT;
	const char *field = is_compose ? "compose" : "systemd";
	make_fn make = is_compose ? sb_export_compose : sb_export_systemd;
	struct sb_err err = SB_ERR_INIT;
	int rc = make(plan, rank, &place, &text, &secrets, &err);

	if (rc == -SB_E_UNSUPPORTED && (plan->n_pre_exec || plan->ranks[rank]->n_files))
		return;
	if (rc < 0)
		golden_differ(c, field, "(a file)", err.text);
	else
		(is_compose ? check_compose : check_unit)(
				c, &text, sb_strbuf_str(&secrets), plan->ranks[rank]);
	for (size_t i = 0; rc == 0 && i < plan->ranks[rank]->n_env; i++) {
		const Sparkbus__EnvVar *var = plan->ranks[rank]->env[i];

		if (var->secret && strlen(var->value) > 5 &&
				strstr(sb_strbuf_str(&text), var->value))
			golden_differ(c, field, var->name, "its value is in the file");
	}
}

void golden_check_files(struct golden_case *c, const Sparkbus__LaunchPlan *plan)
{
	for (size_t i = 0; i < plan->n_ranks; i++) {
		check(c, plan, i, true);
		check(c, plan, i, false);
	}
}
