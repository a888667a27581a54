/* What every command needs: messages, the inventory, the client. */
#include <stdarg.h>
#include <string.h>

#include "cli.h"
#include "sb_fs.h"

static void say(const char *tag, enum sb_color color, const char *text)
{
	fprintf(stderr, "%s%s:%s %s\n", sb_color(stderr, color), tag, sb_color(stderr, SB_PLAIN),
			text);
}

int cli_fail(struct cli *cli, const struct sb_err *err)
{
	fflush(stdout);
	say("Error", SB_RED, err->text);
	if (*err->hint)
		say("Hint", SB_BOLD, err->hint);
	return sb_code_exit(err->code);
}

int cli_usage(const struct call *call, const char *fmt, ...)
{
	struct sb_err err;
	char text[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sb_err_set(&err, SB_E_INVALID, "%s", text);
	fprintf(stderr, "Usage: sparkbus %s [OPTIONS]%s%s\n", call->command->name,
			*call->command->synopsis ? " " : "", call->command->synopsis);
	say("Error", SB_RED, err.text);
	cli_hint("sparkbus %s --help", call->command->name);
	return EXIT_USAGE;
}

void cli_warn(struct cli *cli, const char *fmt, ...)
{
	struct sb_err err;
	char text[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sb_err_set(&err, SB_E_INVALID, "%s", text);
	say("Warning", SB_YELLOW, err.text);
}

void cli_hint(const char *fmt, ...)
{
	char text[SB_ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("Hint", SB_BOLD, text);
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	char text[SB_ERR_TEXT_MAX];
	va_list ap;

	if (cli->global.quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sb_render_clean(&line, text, strlen(text));
	fprintf(stderr, "%s\n", sb_strbuf_str(&line));
}

int cli_json(struct cli *cli, json_t *json, int status)
{
	struct sb_err err = SB_ERR_INIT;
	int rc = sb_render_json(stdout, json, &err);

	json_decref(json);
	return rc < 0 ? cli_fail(cli, &err) : status;
}

int cli_confirm(const char *question, bool *ret_yes, struct sb_err *err)
{
	char line[16];

	if (!isatty(STDIN_FILENO)) {
		sb_err_set(err, SB_E_INVALID, "'%s' needs an answer, but stdin is not a terminal",
				question);
		return sb_err_hint(err, -SB_E_INVALID, "repeat the command with --force");
	}
	fprintf(stderr, "%s [y/N]: ", question);
	*ret_yes = fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
	return 0;
}

int cli_read(const char *path, size_t max, struct sb_strbuf *ret, struct sb_err *err)
{
	char part[4096];
	size_t n;

	if (strcmp(path, "-"))
		return sb_fs_read(path, max, ret, err);
	while ((n = fread(part, 1, sizeof(part), stdin)) > 0) {
		if (ret->len + n > max)
			return sb_err_set(err, SB_E_RANGE, "stdin: more than %zu bytes", max);
		if (sb_strbuf_add(ret, part, n) < 0)
			return sb_err_nomem(err);
	}
	return 0;
}

int cli_inventory(struct cli *cli, struct sb_inventory **ret, struct sb_err *err)
{
	int rc = 0;

	if (!cli->inventory)
		rc = sb_inventory_open(NULL, &cli->inventory, err);
	if (rc < 0)
		return rc;
	*ret = cli->inventory;
	return 0;
}

int cli_client_new(struct cli *cli, struct sb_client **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_client_freep) struct sb_client *client = NULL;
	struct sb_tls_creds creds = { 0 };
	struct sb_inventory *inv;
	int rc = cli_inventory(cli, &inv, err);

	if (rc < 0)
		return rc;
	rc = sb_inventory_creds(inv, &creds, &cli->operator_name, err);
	if (rc < 0)
		return rc;
	rc = sb_client_new(&creds, cli->operator_name, &client, err);
	if (rc < 0)
		return rc;
	if (!interrupt_watch(client))
		return sb_err_set(err, SB_E_INTERNAL, "too many clients at a time");
	*ret = sb_steal(client);
	return 0;
}

void cli_client_free(struct sb_client *client)
{
	interrupt_unwatch(client);
	sb_client_free(client);
}

int cli_client(struct cli *cli, struct sb_client **ret, struct sb_err *err)
{
	int rc = 0;

	if (!cli->client)
		rc = cli_client_new(cli, &cli->client, err);
	if (rc < 0)
		return rc;
	*ret = cli->client;
	return 0;
}

void cli_client_renew(struct cli *cli)
{
	cli_client_free(sb_steal(cli->client));
}

static void warn_bad_file(void *ctx, const char *text)
{
	cli_warn(ctx, "%s", text);
}

int cli_known(struct cli *cli, const struct sb_inv_node **ret, size_t *ret_n, struct sb_err *err)
{
	struct sb_inventory *inv;
	int rc;

	if (!cli->have_known) {
		rc = cli_inventory(cli, &inv, err);
		if (rc < 0)
			return rc;
		rc = sb_inventory_nodes(inv, &cli->known, &cli->n_known, warn_bad_file, cli, err);
		if (rc < 0)
			return rc;
		cli->have_known = true;
	}
	*ret = cli->known;
	*ret_n = cli->n_known;
	return 0;
}

void cli_done(struct cli *cli)
{
	cli_client_renew(cli);
	for (size_t i = 0; i < cli->n_known; i++)
		sb_inv_node_done(&cli->known[i]);
	free(cli->known);
	sb_inventory_close(cli->inventory);
}
