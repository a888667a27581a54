/* fabric configure: give the fabric's interfaces addresses, on all nodes or on none.
 *
 * Every node is told what to set, puts it into effect and waits to be confirmed. Only when all of
 * them are still heard, and reach each other, they are told to keep it; otherwise each puts back
 * what it had, by itself if it must: nothing here has to live for that. */
#include <arpa/inet.h>
#include <string.h>

#include "commands.h"
#include "fabric_measure.h"

#define CONFIGURE_OPT(member) offsetof(struct fabric_configure_opts, member)
#define MTU_DEFAULT           9000
#define CONFIRM_S_DEFAULT     60
#define SET_MS                20000u
#define INTERFACES_MAX        64u

const struct opt fabric_configure_options[] = {
	{ OPT_GROUP, .name = "Nodes", .at = CONFIGURE_OPT(hosts), .group = host_options },
	{ OPT_TEXT, 0, "network", NULL, "NETWORK",
			"first of the /24 networks, as 192.168.100.0, instead of the first free "
			"one",
			CONFIGURE_OPT(network) },
	{ OPT_INT, 0, "mtu", NULL, "N", "MTU of the fabric (9000)", CONFIGURE_OPT(mtu), 1280,
			9978 },
	{ OPT_LIST, 0, "address", NULL, "NODE:INTERFACE=ADDRESS/BITS",
			"set this instead of what would be planned (repeat)",
			CONFIGURE_OPT(address) },
	{ OPT_INT, 0, "confirm-seconds", NULL, "N",
			"after so long a node that was not confirmed puts back what it had (60)",
			CONFIGURE_OPT(confirm_seconds), 2, 600 },
	{ OPT_FLAG, 0, "revert", NULL, NULL,
			"put back what there was before the first fabric configure",
			CONFIGURE_OPT(revert) },
	{ OPT_FLAG, 'n', "dry-run", NULL, NULL, "show what would be done; change nothing",
			CONFIGURE_OPT(dry_run) },
	{ OPT_FLAG, 'y', "yes", NULL, NULL, "do not ask", CONFIGURE_OPT(yes) },
	{ OPT_END },
};

/* What one node is to be told. */
struct share {
	Sparkbus__InterfaceSetting settings[INTERFACES_MAX], *list[INTERFACES_MAX];
	char *addresses[INTERFACES_MAX]; /* one an interface; borrowed */
	size_t n;
	Sparkbus__SetNetworkRequest request;
	Sparkbus__ConfirmNetworkRequest confirm;
	bool wanted; /* takes part */
};
struct work {
	struct cli *cli;
	const struct fabric_configure_opts *opts;
	struct fabric_view view;
	struct sb_fabric_assignment *assignments; /* of the plan, or */
	char **texts;                             /* of --address, cut into parts */
	struct share *shares;                     /* per node */
	uint32_t mtu;
};

static void work_done(struct work *w)
{
	for (size_t i = 0; w->texts && w->texts[i]; i++)
		free(w->texts[i]);
	free(w->texts);
	free(w->assignments);
	free(w->shares);
	fabric_view_done(&w->view);
}

static int add(struct work *w, size_t node, const char *interface, const char *address,
		struct sb_err *err)
{
	struct share *s = &w->shares[node];
	Sparkbus__InterfaceSetting *setting = &s->settings[s->n];

	if (s->n == INTERFACES_MAX)
		return sb_err_set(err, SB_E_RANGE, "more than %u interfaces on one node",
				INTERFACES_MAX);
	sparkbus__interface_setting__init(setting);
	setting->name = (char *)interface;
	s->addresses[s->n] = (char *)address;
	setting->addresses = &s->addresses[s->n];
	setting->n_addresses = 1;
	setting->mtu = w->mtu;
	s->list[s->n++] = setting;
	s->wanted = true;
	return 0;
}

/* --- what to set --- */

/* "spark1:enp1s0f0np0=192.168.100.11/24" */
static int add_given(struct work *w, char *text, struct sb_err *err)
{
	char *colon = strchr(text, ':'), *equals = colon ? strchr(colon, '=') : NULL;

	if (!equals)
		return sb_err_set(err, SB_E_INVALID,
				"--address %s: expected NODE:INTERFACE=ADDRESS/BITS", text);
	*colon = *equals = '\0';
	for (size_t i = 0; i < w->view.nodes.n; i++)
		if (!strcmp(w->view.reports[i].name, text))
			return add(w, i, colon + 1, equals + 1, err);
	return sb_err_set(err, SB_E_NOT_FOUND, "--address %s: not one of the nodes", text);
}

static int take_given(struct work *w, struct sb_err *err)
{
	const struct opt_list *given = &w->opts->address;
	int rc = 0;

	w->texts = calloc(given->n + 1, sizeof(*w->texts));
	if (!w->texts)
		return sb_err_nomem(err);
	for (size_t i = 0; i < given->n && rc == 0; i++) {
		w->texts[i] = strdup(given->items[i]);
		rc = w->texts[i] ? add_given(w, w->texts[i], err) : sb_err_nomem(err);
	}
	return rc;
}

static int take_plan(struct work *w, struct sb_err *err)
{
	size_t n = 0;
	int rc = sb_fabric_assign(
			w->view.fabric, w->opts->network, w->mtu, &w->assignments, &n, err);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = add(w, w->assignments[i].node, w->assignments[i].interface,
				w->assignments[i].address, err);
	return rc;
}

static int plan(struct work *w, struct sb_err *err)
{
	int rc = 0;

	w->shares = calloc(w->view.nodes.n + 1, sizeof(*w->shares));
	if (!w->shares)
		return sb_err_nomem(err);
	if (!w->opts->revert)
		rc = w->opts->address.n ? take_given(w, err) : take_plan(w, err);
	for (size_t i = 0; i < w->view.nodes.n; i++) {
		struct share *s = &w->shares[i];

		s->wanted = s->wanted || w->opts->revert;
		sparkbus__set_network_request__init(&s->request);
		s->request.interfaces = s->list;
		s->request.n_interfaces = s->n;
		s->request.revert = w->opts->revert;
		s->request.dry_run = w->opts->dry_run;
		s->request.confirm_ms = 1000u *
				(uint32_t)(w->opts->confirm_seconds.text
								? w->opts->confirm_seconds.value
								: CONFIRM_S_DEFAULT);
	}
	return rc;
}

static size_t count(const struct work *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->view.nodes.n; i++)
		n += w->shares[i].wanted;
	return n;
}

/* --- showing it --- */

static const char *now_text(
		const struct work *w, size_t node, const char *interface, struct sb_strbuf *out)
{
	const Sparkbus__FabricState *state = w->view.reports[node].state;

	for (size_t i = 0; state && i < state->n_links; i++) {
		const Sparkbus__Link *link = state->links[i];

		if (strcmp(link->name, interface) != 0)
			continue;
		for (size_t k = 0; k < link->n_addresses; k++)
			if (!strchr(link->addresses[k]->ip, ':'))
				sb_strbuf_addf(out, "%s/%u ", link->addresses[k]->ip,
						link->addresses[k]->prefix_len);
		sb_strbuf_addf(out, "MTU %u", link->mtu);
	}
	return sb_strbuf_str(out);
}

static int print_plan(const struct work *w, struct sb_err *err)
{
	static const char *const headers[] = { "NODE", "INTERFACE", "NOW", "THEN" };
	SB_CLEANUP(sb_table_done) struct sb_table table = { 0 };

	sb_table_init(&table, headers, sb_countof(headers));
	for (size_t i = 0; i < w->view.nodes.n; i++)
		for (size_t k = 0; k < w->shares[i].n; k++) {
			SB_CLEANUP(sb_strbuf_done) struct sb_strbuf now = SB_STRBUF_INIT;
			const Sparkbus__InterfaceSetting *s = &w->shares[i].settings[k];
			char then[64];

			snprintf(then, sizeof(then), "%s MTU %u", s->addresses[0], s->mtu);
			sb_table_row(&table,
					(const char *const[]){ w->view.reports[i].name, s->name,
							now_text(w, i, s->name, &now), then });
		}
	return sb_table_print(&table, stdout, err);
}

static void print_indented(const ProtobufCBinaryData *content)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;

	for (size_t i = 0; i < content->len; i++) {
		if (content->data[i] != '\n') {
			sb_render_clean(&line, &content->data[i], 1);
			continue;
		}
		printf("    %s\n", sb_strbuf_str(&line));
		sb_strbuf_reset(&line);
	}
}

static void print_reply(const char *node, const Sparkbus__SetNetworkReply *reply, bool dry)
{
	if (dry)
		printf("%s: kept by %s\n", node, reply->backend);
	for (size_t i = 0; i < reply->n_warnings; i++)
		printf("%s: %sWarning:%s %s\n", node, sb_color(stdout, SB_YELLOW),
				sb_color(stdout, SB_PLAIN), reply->warnings[i]);
	for (size_t i = 0; i < reply->n_files && dry; i++) {
		printf("  %s%s\n", reply->files[i]->path,
				reply->files[i]->absent ? " is removed" : "");
		if (!reply->files[i]->absent)
			print_indented(&reply->files[i]->content);
	}
}

/* --- asking the nodes --- */

/* Those that take part; @asks in their order. */
static int ask_shares(struct work *w, unsigned tag, struct ask *asks, struct sb_err *err)
{
	struct sb_client *client;
	size_t n = 0;
	int rc = cli_client(w->cli, &client, err);

	for (size_t i = 0; i < w->view.nodes.n && rc == 0; i++) {
		void *body = tag == SPARKBUS__REQUEST__BODY_SET_NETWORK
				? (void *)&w->shares[i].request
				: (void *)&w->shares[i].confirm;

		if (w->shares[i].wanted)
			rc = ask_init(&asks[n++], &w->view.nodes.items[i], tag, body, err);
	}
	if (rc == 0)
		asks_send(w->cli, client, asks, n, SET_MS);
	return rc;
}

/* What a node made of it. One that never was configured has nothing to go back from. */
static Sparkbus__Outcome take_set(struct work *w, struct share *share, const struct ask *ask)
{
	const char *name = ask->node->node.name;
	const sb_response *reply = ask->answer.reply;
	Sparkbus__Outcome outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;

	if (reply)
		print_reply(name, reply->set_network, w->opts->dry_run);
	if (reply)
		outcome = w->opts->dry_run ? SPARKBUS__OUTCOME__OUTCOME_DONE
					   : reply->set_network->outcome;
	else if (ask_unknown(&ask->answer))
		outcome = SPARKBUS__OUTCOME__OUTCOME_UNKNOWN;
	else if (w->opts->revert && ask->answer.err.code == SB_E_NOT_FOUND)
		outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	share->wanted = reply || outcome != SPARKBUS__OUTCOME__OUTCOME_DONE;
	if (!w->opts->dry_run || !reply)
		printf("  %s: %s%s%s\n", name, outcome_text(outcome), reply ? "" : ": ",
				reply ? "" : ask_reason(ask->node, &ask->answer));
	return outcome;
}

/* Return: the worst outcome. */
static Sparkbus__Outcome set_all(struct work *w, struct sb_err *err)
{
	struct ask *asks = calloc(w->view.nodes.n + 1, sizeof(*asks));
	Sparkbus__Outcome worst = SPARKBUS__OUTCOME__OUTCOME_DONE;
	size_t n = count(w);

	if (!asks || ask_shares(w, SPARKBUS__REQUEST__BODY_SET_NETWORK, asks, err) < 0) {
		free(asks);
		return SPARKBUS__OUTCOME__OUTCOME_FAILED;
	}
	for (size_t i = 0, at = 0; i < w->view.nodes.n; i++)
		if (w->shares[i].wanted)
			worst = outcome_worse(worst, take_set(w, &w->shares[i], &asks[at++]));
	asks_done(asks, n);
	return worst;
}

static Sparkbus__Outcome confirm_all(struct work *w, bool roll_back, struct sb_err *err)
{
	struct ask *asks = calloc(w->view.nodes.n + 1, sizeof(*asks));
	Sparkbus__Outcome worst = SPARKBUS__OUTCOME__OUTCOME_DONE;
	size_t n = count(w);

	for (size_t i = 0; i < w->view.nodes.n; i++) {
		sparkbus__confirm_network_request__init(&w->shares[i].confirm);
		w->shares[i].confirm.roll_back = roll_back;
	}
	if (!asks || ask_shares(w, SPARKBUS__REQUEST__BODY_CONFIRM_NETWORK, asks, err) < 0) {
		free(asks);
		return SPARKBUS__OUTCOME__OUTCOME_FAILED;
	}
	for (size_t i = 0; i < n; i++) {
		const sb_response *reply = asks[i].answer.reply;
		Sparkbus__Outcome one = reply                  ? reply->confirm_network->outcome
				: ask_unknown(&asks[i].answer) ? SPARKBUS__OUTCOME__OUTCOME_UNKNOWN
							       : SPARKBUS__OUTCOME__OUTCOME_FAILED;

		worst = outcome_worse(worst, one);
		if (reply && one == SPARKBUS__OUTCOME__OUTCOME_DONE)
			printf("  %s: %s\n", asks[i].node->node.name,
					roll_back ? "has what it had before" : "keeps it");
		else if (reply)
			printf("  %s: nothing waited: it has put back what it had\n",
					asks[i].node->node.name);
		else
			printf("  %s: %s\n", asks[i].node->node.name,
					ask_reason(asks[i].node, &asks[i].answer));
	}
	asks_done(asks, n);
	return worst;
}

/* --- verifying --- */

/* "192.168.100.11/24" in two. */
static bool split(const char *text, char ip[INET_ADDRSTRLEN], uint32_t *ret_network)
{
	size_t len = strcspn(text, "/");
	unsigned bits = 0;
	struct in_addr addr;

	if (len >= INET_ADDRSTRLEN || sscanf(text + len, "/%2u", &bits) != 1 || !bits || bits > 31)
		return false;
	memcpy(ip, text, len);
	ip[len] = '\0';
	if (inet_pton(AF_INET, ip, &addr) != 1)
		return false;
	*ret_network = ntohl(addr.s_addr) & ~(UINT32_MAX >> bits);
	return true;
}

static int add_ways(const struct work *w, unsigned from, unsigned to, struct fabric_paths *paths,
		struct sb_err *err)
{
	const struct share *a = &w->shares[from], *b = &w->shares[to];
	char source[INET_ADDRSTRLEN], address[INET_ADDRSTRLEN];
	uint32_t here, there;
	int rc = 0;

	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n && rc == 0; k++)
			if (split(a->addresses[i], source, &here) &&
					split(b->addresses[k], address, &there) && here == there)
				rc = fabric_paths_add(paths, from, to, source, address,
						a->settings[i].name, w->mtu, err);
	return rc;
}

/* What was set counts, not what the reports say of it so soon. */
static int list_ways(const struct work *w, struct fabric_paths *paths, struct sb_err *err)
{
	unsigned n = (unsigned)w->view.nodes.n;
	int rc = 0;

	for (unsigned step = 1; step < n; step++)
		for (unsigned from = 0; from < n && rc == 0; from++)
			rc = add_ways(w, from, (from + step) % n, paths, err);
	return rc;
}

/* All nodes are heard, and reach each other by every way that there is now. */
static bool verify(struct work *w, struct sb_err *err)
{
	SB_CLEANUP(fabric_view_done) struct fabric_view now = { 0 };
	SB_CLEANUP(fabric_paths_done) struct fabric_paths paths = { 0 };
	struct fabric_verdict verdict;
	bool good;

	if (fabric_view_ask(w->cli, &w->opts->hosts, &now, err) < 0 ||
			fabric_paths_list(&now, &paths, err) < 0 || list_ways(w, &paths, err) < 0 ||
			fabric_paths_try(w->cli, &now, &paths, err) < 0) {
		printf("  %s\n", err->text);
		return false;
	}
	fleet_print_silent(&now.fleet, stdout);
	good = !now.fleet.silent;
	for (size_t i = 0; i < paths.n; i++) {
		if (fabric_path_verdict(&now, &paths.items[i], 0, &verdict))
			printf("  %s\n", verdict.text);
		good = good && paths.items[i].tried == FABRIC_REACHED &&
				!fabric_path_verdict(&now, &paths.items[i], 0, &verdict);
	}
	return good;
}

static int apply(struct work *w, struct sb_err *err)
{
	Sparkbus__Outcome outcome;

	printf("Setting; a node that is not confirmed puts back what it had after %u s.\n",
			w->shares[0].request.confirm_ms / 1000);
	fflush(stdout);
	outcome = set_all(w, err);
	if (w->opts->dry_run)
		return outcome_exit(outcome);
	if (outcome == SPARKBUS__OUTCOME__OUTCOME_DONE && !interrupted()) {
		printf("Trying the paths between them\n");
		fflush(stdout);
		if (verify(w, err) && !interrupted()) {
			printf("Confirming\n");
			return outcome_exit(confirm_all(w, false, err));
		}
		outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
	}
	if (interrupted()) {
		printf("Interrupted: every node puts back what it had.\n");
		return EXIT_INTERRUPT;
	}
	printf("Not kept. Putting back\n");
	confirm_all(w, true, err);
	return outcome_exit(outcome);
}

static int agree(const struct work *w, bool *ret, struct sb_err *err)
{
	*ret = true;
	if (w->opts->yes || w->opts->dry_run)
		return 0;
	return cli_confirm(w->opts->revert ? "Put back what was there before?" : "Apply this?", ret,
			err);
}

int cmd_fabric_configure(struct cli *cli, const struct call *call)
{
	const struct fabric_configure_opts *opts = call->opts;
	SB_CLEANUP(work_done) struct work w = { .cli = cli, .opts = opts };
	struct sb_err err = SB_ERR_INIT;
	bool yes = false;
	int rc;

	if (opts->revert && (opts->address.n || opts->network))
		return cli_usage(call, "--revert does not go with --address or --network");
	w.mtu = opts->mtu.text ? (uint32_t)opts->mtu.value : MTU_DEFAULT;
	interrupt_catch();
	rc = fabric_view_ask(cli, &opts->hosts, &w.view, &err);
	if (rc == 0 && w.view.fleet.silent) {
		cli_warn(cli, "%zu node%s did not answer; nothing was changed:",
				w.view.fleet.silent, plural(w.view.fleet.silent));
		fleet_print_silent(&w.view.fleet, stderr);
		return EXIT_UNKNOWN;
	}
	if (rc == 0)
		rc = plan(&w, &err);
	if (rc == 0 && !count(&w)) {
		puts("Nothing to change: every cable has addresses that fit.");
		return EXIT_DONE;
	}
	if (rc == 0 && !opts->revert)
		rc = print_plan(&w, &err);
	if (rc == 0)
		rc = agree(&w, &yes, &err);
	if (rc < 0)
		return interrupted() ? EXIT_INTERRUPT : cli_fail(cli, &err);
	if (!yes) {
		puts("Nothing was changed.");
		return EXIT_FAILED;
	}
	return apply(&w, &err);
}
