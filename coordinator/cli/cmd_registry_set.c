/* registry enable, disable, trust, untrust: a flag of an entry. */
#include <string.h>

#include "registries.h"

static const struct change {
	const char *command;
	size_t at; /* of the flag */
	bool value;
	const char *done, *already, *note;
} changes[] = {
	{ "registry enable", offsetof(struct sb_registry, enabled), true, "enabled",
			"is enabled already", "`sparkbus registry update` fetches it." },
	{ "registry disable", offsetof(struct sb_registry, enabled), false, "disabled",
			"is disabled already", NULL },
	{ "registry trust", offsetof(struct sb_registry, trusted), true, "trusted",
			"is trusted already",
			"Its recipes, also those that its owner adds later, may now run commands "
			"on this machine and copy files from it." },
	{ "registry untrust", offsetof(struct sb_registry, trusted), false, "not trusted any more",
			"is not trusted", NULL },
};

struct setting {
	const struct change *change;
	const char *name;
	bool was_so;
};

static int set(struct sb_registry_list *list, void *arg, struct sb_err *err)
{
	struct setting *s = arg;
	struct sb_registry *item = sb_registry_find(list, s->name);
	bool *flag;

	if (!item)
		return registries_unknown(list, s->name, err);
	flag = (bool *)((char *)item + s->change->at);
	s->was_so = *flag == s->change->value;
	*flag = s->change->value;
	return 0;
}

int cmd_registry_set(struct cli *cli, const struct call *call)
{
	SB_CLEANUP(sb_registry_closep) struct sb_registry_store *store = NULL;
	struct setting s = { .change = changes, .name = call->args[0] };
	struct sb_err err = SB_ERR_INIT;

	while (strcmp(s.change->command, call->command->name) != 0)
		s.change++;
	if (registries_open(false, &store, &err) < 0 ||
			sb_registry_edit(store, set, &s, registries_warn, cli, &err) < 0)
		return cli_fail(cli, &err);
	printf("Registry '%s' %s.\n", s.name, s.was_so ? s.change->already : s.change->done);
	if (s.change->note && !s.was_so)
		cli_note(cli, "%s", s.change->note);
	return EXIT_DONE;
}
