/* Each measurement takes two questions: one agent opens a test, the other calls it. */
#include <arpa/inet.h>
#include <string.h>

#include "fabric_measure.h"

#define HEADERS_BYTES 28u /* IPv4 and UDP */
#define TRY_MS        5000u
#define MARGIN_MS     4000u /* for connecting, and for the receiver's last word */
#define BYTES_MAX     ((uint64_t)1 << 38)

void fabric_paths_done(struct fabric_paths *paths)
{
	free(paths->items);
	*paths = (struct fabric_paths){ 0 };
}

/* --- which paths --- */

static const Sparkbus__Link *link_named(const Sparkbus__FabricState *state, const char *name)
{
	for (size_t i = 0; state && name && i < state->n_links; i++)
		if (!strcmp(state->links[i]->name, name))
			return state->links[i];
	return NULL;
}

static struct fabric_path *add(struct fabric_paths *paths, unsigned from, unsigned to)
{
	struct fabric_path *grown = reallocarray(paths->items, paths->n + 1, sizeof(*grown));

	if (!grown)
		return NULL;
	paths->items = grown;
	grown[paths->n] = (struct fabric_path){ .from = from, .to = to };
	return &grown[paths->n++];
}

/* The address of the management interface; a node may be registered by a name. */
static const char *management_address(const struct fabric_view *view, unsigned node)
{
	const Sparkbus__FabricState *state = view->reports[node].state;
	struct in_addr four;

	if (inet_pton(AF_INET, view->reports[node].address, &four) == 1)
		return view->reports[node].address;
	return state && *state->management_address ? state->management_address : NULL;
}

static int add_management(const struct fabric_view *view, struct fabric_paths *paths, unsigned from,
		unsigned to)
{
	const char *here = management_address(view, from), *there = management_address(view, to);
	const char *name = sb_fabric_management(view->fabric, from, NULL);
	const Sparkbus__Link *link = link_named(view->reports[from].state, name);
	struct fabric_path *path;

	if (!here || !there)
		return 0;
	path = add(paths, from, to);
	if (!path)
		return -SB_E_NOMEM;
	snprintf(path->source, sizeof(path->source), "%s", here);
	snprintf(path->address, sizeof(path->address), "%s", there);
	path->interface = name;
	path->mtu = link ? link->mtu : 0;
	return 0;
}

static int add_fabric(const struct fabric_view *view, struct fabric_paths *paths, unsigned from,
		unsigned to)
{
	struct sb_fabric_pair pair;

	for (size_t i = 0; sb_fabric_pair_at(view->fabric, from, to, i, &pair); i++) {
		const Sparkbus__Link *link = link_named(view->reports[from].state, pair.interface);
		struct fabric_path *path = add(paths, from, to);

		if (!path)
			return -SB_E_NOMEM;
		snprintf(path->source, sizeof(path->source), "%s", pair.address);
		snprintf(path->address, sizeof(path->address), "%s", pair.peer_address);
		path->path = pair.path;
		path->interface = pair.interface;
		path->mtu = link ? link->mtu : 0;
	}
	return 0;
}

/* In turns: within one, every node calls one other and is called by one. */
int fabric_paths_list(const struct fabric_view *view, struct fabric_paths *ret, struct sb_err *err)
{
	unsigned n = (unsigned)view->nodes.n;
	int rc = 0;

	for (unsigned step = 1; step < n; step++)
		for (unsigned from = 0; from < n && rc == 0; from++) {
			rc = add_management(view, ret, from, (from + step) % n);
			if (rc == 0)
				rc = add_fabric(view, ret, from, (from + step) % n);
		}
	return rc < 0 ? sb_err_nomem(err) : 0;
}

int fabric_paths_add(struct fabric_paths *paths, unsigned from, unsigned to, const char *source,
		const char *address, const char *interface, uint32_t mtu, struct sb_err *err)
{
	struct fabric_path *path = add(paths, from, to);

	if (!path)
		return sb_err_nomem(err);
	snprintf(path->source, sizeof(path->source), "%s", source);
	snprintf(path->address, sizeof(path->address), "%s", address);
	path->interface = interface;
	path->mtu = mtu;
	path->path = 1;
	return 0;
}

/* --- trying --- */

/* One stream of a path, and what its two ends are asked. */
struct stream {
	struct fabric_path *path;
	Sparkbus__OpenLinktestRequest open;
	Sparkbus__RunLinktestRequest run;
	const Sparkbus__OpenLinktestReply *opened;
	const Sparkbus__RunLinktestReply *ran;
};

static void prepare(struct stream *s, struct fabric_path *path, unsigned send_ms)
{
	unsigned ms = send_ms ? send_ms + MARGIN_MS : TRY_MS;

	*s = (struct stream){ .path = path };
	sparkbus__open_linktest_request__init(&s->open);
	sparkbus__run_linktest_request__init(&s->run);
	s->open.address = path->address;
	s->open.max_ms = ms + MARGIN_MS;
	s->open.max_bytes = BYTES_MAX;
	s->run.source_address = path->source;
	s->run.address = path->address;
	s->run.max_ms = ms;
	s->run.send_ms = send_ms;
	s->run.max_bytes = BYTES_MAX;
	s->run.packet_bytes = !send_ms && path->mtu > HEADERS_BYTES + 100 && path->mtu < 65536
			? path->mtu - HEADERS_BYTES
			: 0;
}

static void note(struct fabric_path *path, const struct fabric_view *view, unsigned node,
		const struct ask *ask)
{
	snprintf(path->error, sizeof(path->error), "%s does not say: %.100s",
			view->reports[node].name,
			ask_reason(&view->nodes.items[node], &ask->answer));
}

static int open_all(struct cli *cli, struct sb_client *client, const struct fabric_view *view,
		struct stream *streams, struct ask *asks, size_t n, struct sb_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = ask_init(&asks[i], &view->nodes.items[streams[i].path->to],
				SPARKBUS__REQUEST__BODY_OPEN_LINKTEST, &streams[i].open, err);
	if (rc < 0)
		return rc;
	asks_send(cli, client, asks, n, ASK_DEADLINE_MS);
	for (size_t i = 0; i < n; i++) {
		streams[i].opened =
				asks[i].answer.reply ? asks[i].answer.reply->open_linktest : NULL;
		if (!streams[i].opened) {
			note(streams[i].path, view, streams[i].path->to, &asks[i]);
			continue;
		}
		streams[i].run.port = streams[i].opened->port;
		streams[i].run.token = streams[i].opened->token;
	}
	return 0;
}

/* Of @n streams those that were opened. */
static int run_all(struct cli *cli, struct sb_client *client, const struct fabric_view *view,
		struct stream *streams, struct ask *asks, size_t n, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) struct stream **opened = calloc(n + 1, sizeof(*opened));
	unsigned most = 0;
	size_t m = 0;
	int rc = opened ? 0 : sb_err_nomem(err);

	for (size_t i = 0; i < n && rc == 0; i++) {
		if (!streams[i].opened)
			continue;
		most = streams[i].run.max_ms > most ? streams[i].run.max_ms : most;
		opened[m] = &streams[i];
		rc = ask_init(&asks[m++], &view->nodes.items[streams[i].path->from],
				SPARKBUS__REQUEST__BODY_RUN_LINKTEST, &streams[i].run, err);
	}
	if (rc < 0)
		return rc;
	asks_send(cli, client, asks, m, most + ASK_DEADLINE_MS);
	for (size_t i = 0; i < m; i++) {
		opened[i]->ran = asks[i].answer.reply ? asks[i].answer.reply->run_linktest : NULL;
		if (!opened[i]->ran)
			note(opened[i]->path, view, opened[i]->path->from, &asks[i]);
	}
	return 0;
}

/* Both questions for @n streams; @judge sees each with what came of it. */
static int measure(struct cli *cli, const struct fabric_view *view, struct stream *streams,
		size_t n, void (*judge)(struct stream *stream), struct sb_err *err)
{
	struct ask *opens = calloc(n + 1, sizeof(*opens)), *runs = calloc(n + 1, sizeof(*runs));
	struct sb_client *client;
	int rc = opens && runs ? cli_client(cli, &client, err) : sb_err_nomem(err);

	if (rc == 0)
		rc = open_all(cli, client, view, streams, opens, n, err);
	if (rc == 0)
		rc = run_all(cli, client, view, streams, runs, n, err);
	for (size_t i = 0; i < n && rc == 0; i++)
		judge(&streams[i]);
	asks_done(opens, n);
	asks_done(runs, n);
	return rc == 0 && interrupted() ? sb_err_set(err, SB_E_CANCELLED, "interrupted") : rc;
}

static void judge_try(struct stream *s)
{
	struct fabric_path *path = s->path;

	if (!s->ran)
		return;
	path->tried = s->ran->connected && !*s->ran->error ? FABRIC_REACHED : FABRIC_FAILED;
	path->has_packet = s->ran->has_packet_case;
	path->packet_passed = s->ran->packet_passed;
	path->rtt_us = s->ran->rtt_us;
	if (path->tried == FABRIC_FAILED)
		snprintf(path->error, sizeof(path->error), "%.150s", s->ran->error);
}

/* A node that was silent a moment ago is not asked again: it would cost its deadline each time. */
static bool both_answer(const struct fabric_view *view, struct fabric_path *path)
{
	const unsigned ends[] = { path->from, path->to };

	for (size_t i = 0; i < sb_countof(ends); i++) {
		if (fleet_state(&view->fleet, ends[i]))
			continue;
		snprintf(path->error, sizeof(path->error), "%s did not answer",
				view->reports[ends[i]].name);
		return false;
	}
	return true;
}

int fabric_paths_try(struct cli *cli, const struct fabric_view *view, struct fabric_paths *paths,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) struct stream *streams = calloc(paths->n + 1, sizeof(*streams));
	size_t n = 0;
	int rc = streams ? 0 : sb_err_nomem(err);

	for (size_t i = 0; i < paths->n && rc == 0; i++) {
		bool last = i + 1 == paths->n;

		if (both_answer(view, &paths->items[i]))
			prepare(&streams[n++], &paths->items[i], 0);
		/* A turn ends where the first node calls again. */
		if (!last && paths->items[i + 1].from >= paths->items[i].from)
			continue;
		rc = measure(cli, view, streams, n, judge_try, err);
		n = 0;
	}
	return rc;
}

/* --- timing --- */

static void judge_time(struct stream *s)
{
	if (!s->ran || !s->ran->us)
		return;
	s->path->gbps += (double)s->ran->bytes * 8 / ((double)s->ran->us * 1000);
	s->path->retransmits += s->ran->retransmits;
}

int fabric_paths_time(struct cli *cli, const struct fabric_view *view, struct fabric_paths *paths,
		unsigned ms, struct sb_err *err)
{
	unsigned n = (unsigned)view->nodes.n;
	int rc = 0;

	for (size_t i = 0; i < paths->n && rc == 0; i++) {
		struct stream streams[FABRIC_STREAMS];
		struct fabric_path *path = &paths->items[i];

		if (path->tried != FABRIC_REACHED || path->to != (path->from + 1) % n)
			continue;
		for (unsigned k = 0; k < FABRIC_STREAMS; k++)
			prepare(&streams[k], path, ms);
		rc = measure(cli, view, streams, FABRIC_STREAMS, judge_time, err);
	}
	return rc;
}

/* --- what it means --- */

/* Gb/s of TCP over one path of a ConnectX-7, from measurements of Sparks: 110 with four streams and
 * MTU 9000, about half with 1500; a card in its degraded state gives 13 whatever is tried. */
#define SUSPICIOUS_JUMBO    70.0
#define SUSPICIOUS_STANDARD 30.0
#define DEGRADED            15.0
#define JUMBO               4200u

static const struct kind {
	enum sb_fabric_severity severity;
	const char *id, *cause, *fix;
} kinds[] = {
	{ SB_FABRIC_REFUSE, "unreachable",
			"a firewall, a cable in another port, or addresses of another network",
			"allow all traffic between the nodes' addresses (ufw allow from ADDRESS); "
			"compare with sparkbus fabric show" },
	{ SB_FABRIC_REFUSE, "large-packets-lost",
			"a smaller MTU on the way: NCCL hangs at its first collective",
			"the same MTU at both ends, and an L2 MTU of 9216 or more on the switch" },
	{ SB_FABRIC_WARNING, "nic-at-13-gbps",
			"a known state of the adapter, which a warm reboot does not end",
			"shut down, unplug for a minute, reseat the cable, start; update its "
			"firmware" },
	{ SB_FABRIC_WARNING, "slow-path",
			"a lossy switch, a path with fewer PCIe lanes, or other traffic",
			"look at the counters of errors, PFC on the switch, and `sparkbus fabric "
			"check` on an idle cluster" },
};

/* Row of kinds[], or -1. */
static int kind_of(const struct fabric_path *path)
{
	double suspicious = path->mtu >= JUMBO ? SUSPICIOUS_JUMBO : SUSPICIOUS_STANDARD;

	if (path->tried == FABRIC_FAILED)
		return 0;
	if (path->has_packet && !path->packet_passed)
		return 1;
	if (!path->path || path->gbps <= 0 || path->gbps >= suspicious)
		return -1;
	return path->gbps <= DEGRADED ? 2 : 3;
}

static void describe(const struct fabric_view *view, const struct fabric_path *path, int kind,
		char *text, size_t size)
{
	const char *from = view->reports[path->from].name, *to = view->reports[path->to].name;

	if (kind == 0)
		snprintf(text, size, "%s does not reach %s at %s from %s: %s", from, to,
				path->address, path->source, path->error);
	else if (kind == 1)
		snprintf(text, size, "packets of %u bytes do not pass from %s (%s) to %s (%s)",
				path->mtu, from, path->interface ? path->interface : path->source,
				to, path->address);
	else
		snprintf(text, size,
				"%.1f Gb/s from %s (%s) to %s (%s) over path %u; about 110 is "
				"normal "
				"with MTU 9000",
				path->gbps, from, path->interface, to, path->address, path->path);
}

bool fabric_path_verdict(const struct fabric_view *view, const struct fabric_path *path, size_t i,
		struct fabric_verdict *ret)
{
	int kind = kind_of(path);

	if (i || kind < 0)
		return false;
	*ret = (struct fabric_verdict){ kinds[kind].severity, kinds[kind].id, kinds[kind].cause,
		kinds[kind].fix };
	describe(view, path, kind, ret->text, sizeof(ret->text));
	return true;
}
