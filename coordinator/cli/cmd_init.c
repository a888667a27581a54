#include <pwd.h>
#include <string.h>

#include "commands.h"

#define CA_DAYS       3650
#define OPERATOR_DAYS 365
#define DAYS_MAX      36500

const struct opt init_options[] = {
	{ OPT_TEXT, 0, "operator", NULL, "NAME", "your name in the certificate (your login name)",
			offsetof(struct init_opts, operator_name) },
	{ OPT_INT, 0, "days", NULL, "N", "days until your certificate ends (365)",
			offsetof(struct init_opts, days), 1, DAYS_MAX },
	{ OPT_END },
};

int cmd_init(struct cli *cli, const struct call *call)
{
	const struct init_opts *opts = call->opts;
	const struct passwd *self = opts->operator_name ? NULL : getpwuid(getuid());
	const char *name = opts->operator_name ? opts->operator_name
			: self                 ? self->pw_name
					       : "operator";
	unsigned days = opts->days.text ? (unsigned)opts->days.value : OPERATOR_DAYS;
	struct sb_err err = SB_ERR_INIT;
	struct sb_inventory *inv;

	if (!sb_tls_name_ok(name))
		return cli_usage(call, "'%s' cannot be a name: 1 to 63 of A-Z a-z 0-9 . _ -", name);
	/* An authority that ends before what it signs would end it early. */
	if (cli_inventory(cli, &inv, &err) < 0 ||
			sb_inventory_init(inv, name, days > CA_DAYS ? days : CA_DAYS, days, &err) <
					0)
		return cli_fail(cli, &err);
	printf("Operator '%s' is set up in %s.\n", name, sb_inventory_home(inv));
	cli_note(cli,
			"Next, on each node: sparkbusd enroll --name NAME; then here: "
			"sparkbus node add NAME ADDRESS --csr FILE");
	return EXIT_DONE;
}
