/* entry.c - hooks as a shell script. POSIX sh, because not every image has bash; each hook is a
 * process of its own, so that none sees another's folder or variables.
 *
 * Who the serve command runs as is settled last: hooks change the image's files and need root for
 * it, the engine does not. Dropping needs a program of the image. Three are tried by doing it:
 * setpriv (util-linux: every Ubuntu image), python3 (every engine but llama.cpp), and
 * chroot --userspec (coreutils). All three leave the process with the user's number and group, no
 * other group and no capability in effect, as if the engine had started it as that user; what the
 * container may gain at all (no-new-privileges, the bounding set) is the engine's and stays. */
#include <ctype.h>
#include <string.h>

#include "sb_entry.h"

static const char head[] =
		"#!/bin/sh\n"
		"# Made by sparkbus: the recipe's hooks, and then its serve command.\n"
		"say() { printf '" SB_ENTRY_MARK "%s\\n' \"$1\" >&2; }\n"
		"# Process 1 ignores what it does not catch, and a shell waits for its child "
		"first.\n"
		"trap 'exit 143' TERM\n"
		"trap 'exit 130' INT\n"
		"if command -v bash >/dev/null 2>&1; then\n"
		"\trun() { bash --noprofile --norc -c \"$1\" </dev/null & }\n"
		"else\n"
		"\trun() { sh -c \"$1\" </dev/null & }\n"
		"fi\n"
		"hook() {\n"
		"\tsay \"$1\"\n"
		"\trun \"$2\"\n"
		"\twait $! && return\n"
		"\tstatus=$?\n"
		"\tsay \"$1 failed with status $status; the serve command was not started\"\n"
		"\texit \"$status\"\n"
		"}\n"
		"copy() {\n"
		"\tsay \"$1\"\n"
		"\tmkdir -p -- \"$3\" && cp -a -- \"$2/.\" \"$3/\" && return\n"
		"\tsay \"$1 failed: copying to $3; the serve command was not started\"\n"
		"\texit 1\n"
		"}\n";

static const char drop[] =
		"# Opening /dev/stdout by its name must work for the new user as well.\n"
		"chown \"$uid:$gid\" /proc/$$/fd/1 /proc/$$/fd/2 2>/dev/null || :\n"
		"# By their paths: a busybox shell would take its own setpriv, which cannot do "
		"it.\n"
		"for p in /usr/bin/setpriv /bin/setpriv; do\n"
		"\tif \"$p\" --reuid=\"$uid\" --regid=\"$gid\" --clear-groups true 2>/dev/null; "
		"then\n"
		"\t\texec \"$p\" --reuid=\"$uid\" --regid=\"$gid\" --clear-groups --inh-caps=-all "
		"-- "
		"\"$@\"\n"
		"\tfi\n"
		"done\n"
		"if python3 -c '' 2>/dev/null; then\n"
		"\texec python3 -c 'import os, sys\n"
		"os.setgroups([])\n"
		"os.setgid(int(sys.argv[2]))\n"
		"os.setuid(int(sys.argv[1]))\n"
		"os.execvp(sys.argv[3], sys.argv[3:])' \"$uid\" \"$gid\" \"$@\"\n"
		"fi\n"
		"for p in /usr/sbin/chroot /usr/bin/chroot; do\n"
		"\tif \"$p\" --userspec=\"$uid:$gid\" --groups= --skip-chdir / true 2>/dev/null; "
		"then\n"
		"\t\texec \"$p\" --userspec=\"$uid:$gid\" --groups= --skip-chdir / \"$@\"\n"
		"\tfi\n"
		"done\n"
		"say \"cannot become user $uid:$gid: the image has neither setpriv nor python3 nor "
		"coreutils; "
		"executor_config.user root would run the engine as root\"\n"
		"exit 126\n";

/* It prints a banner, makes room for an older driver of the node (CUDA's compatibility libraries)
 * and ends in exec "$@"; nvcr.io's images have it by one of several paths. */
bool sb_entry_keeps(const char *const *entrypoint)
{
	static const char name[] = "nvidia_entrypoint.sh";
	const char *base = entrypoint[0] ? strrchr(entrypoint[0], '/') : NULL;

	return base && !strcmp(base + 1, name) && !entrypoint[1];
}

int sb_entry_quote(struct sb_strbuf *out, const char *text)
{
	sb_strbuf_addc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			sb_strbuf_adds(out, "'\\''");
		else
			sb_strbuf_addc(out, *text);
	}
	return sb_strbuf_addc(out, '\'');
}

static bool is_number(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)text[i]))
			return false;
	return len > 0 && len <= 10;
}

/* A user's or group's name as accounts have it. */
static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("_.-", text[i]))
			return false;
	return len > 0 && len <= 64 && text[0] != '-';
}

bool sb_entry_drops(const char *user)
{
	size_t len = strcspn(user, ":");

	return len && strspn(user, "0") != len && strncmp(user, "root:", len + 1) != 0 &&
			strcmp(user, "root") != 0;
}

/* Lines that set $uid and $gid. A number without a group has group 0, as the engine has it. */
static int add_user(struct sb_strbuf *out, const char *user, struct sb_err *err)
{
	int len = (int)strcspn(user, ":");
	const char *group = user[len] ? user + len + 1 : "";
	size_t group_len = strlen(group);

	if (!is_name(user, (size_t)len) || (user[len] && !is_name(group, group_len)))
		return sb_err_set(err, SB_E_INVALID, "user '%.80s' is not a name or number[:group]",
				user);
	if (is_number(user, (size_t)len))
		sb_strbuf_addf(out, "uid=%.*s\n", len, user);
	else
		sb_strbuf_addf(out,
				"uid=$(id -u '%.*s') || { say 'the image knows no user %.*s'; exit "
				"126; }\n",
				len, user, len, user);
	if (is_number(group, group_len))
		sb_strbuf_addf(out, "gid=%s\n", group);
	else if (group_len)
		sb_strbuf_addf(out,
				"gid=\n"
				"while IFS=: read -r name _ number _; do\n"
				"\t[ \"$name\" = '%s' ] && gid=$number\n"
				"done </etc/group\n"
				"[ -n \"$gid\" ] || { say 'the image knows no group %s'; exit 126; "
				"}\n",
				group, group);
	else if (is_number(user, (size_t)len))
		sb_strbuf_adds(out, "gid=$(id -g \"$uid\" 2>/dev/null) || gid=0\n");
	else
		sb_strbuf_addf(out, "gid=$(id -g '%.*s')\n", len, user);
	return 0;
}

static int add_hook(struct sb_strbuf *out, const Sparkbus__Hook *hook, struct sb_err *err)
{
	bool copies = *hook->copy_to != '\0';

	if (copies == (*hook->command != '\0') || (copies && hook->copy_to[0] != '/'))
		return sb_err_set(err, SB_E_INVALID,
				"hook %.40s: expected a command, or a copy to an absolute path",
				hook->label);
	sb_strbuf_adds(out, copies ? "copy " : "hook ");
	sb_entry_quote(out, hook->label);
	sb_strbuf_addc(out, ' ');
	sb_entry_quote(out, copies ? hook->copy_from : hook->command);
	if (copies) {
		sb_strbuf_addc(out, ' ');
		sb_entry_quote(out, hook->copy_to);
	}
	sb_strbuf_addc(out, '\n');
	return 0;
}

int sb_entry_script(const Sparkbus__LaunchPlan *plan, const char *user, struct sb_strbuf *out,
		struct sb_err *err)
{
	int rc = 0;

	sb_strbuf_adds(out, head);
	for (size_t i = 0; rc == 0 && i < plan->n_pre_exec; i++)
		rc = add_hook(out, plan->pre_exec[i], err);
	sb_strbuf_adds(out, "trap - TERM INT\n");
	if (rc == 0 && sb_entry_drops(user)) {
		rc = add_user(out, user, err);
		sb_strbuf_adds(out, drop);
	} else {
		sb_strbuf_adds(out, "exec \"$@\"\n");
	}
	if (rc < 0)
		return rc;
	return out->failed ? sb_err_nomem(err) : 0;
}
