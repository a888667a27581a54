/* What the nodes together know of jobs. Every node of a job tells its own part; the leader's word
 * counts, and what nobody with the last word said is marked so. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define ID_DIGITS 12

int fleet_ask(struct cli *cli, const struct cli_nodes *nodes, bool running_only, struct fleet *ret,
		struct sb_err *err)
{
	return fleet_ask_within(cli, nodes, running_only, ASK_DEADLINE_MS, ret, err);
}

int fleet_ask_within(struct cli *cli, const struct cli_nodes *nodes, bool running_only,
		unsigned deadline_ms, struct fleet *ret, struct sb_err *err)
{
	struct sb_client *client;
	int rc = cli_client(cli, &client, err);

	if (rc < 0)
		return rc;
	*ret = (struct fleet){ .nodes = nodes, .body = SPARKBUS__GET_NODE_REQUEST__INIT };
	ret->body.running_only = running_only;
	ret->asks = calloc(nodes->n + 1, sizeof(*ret->asks));
	if (!ret->asks)
		return sb_err_nomem(err);
	for (size_t i = 0; i < nodes->n; i++) {
		rc = ask_init(&ret->asks[i], &nodes->items[i], SPARKBUS__REQUEST__BODY_GET_NODE,
				&ret->body, err);
		if (rc < 0) {
			fleet_done(ret);
			return rc;
		}
	}
	ret->silent = asks_send(cli, client, ret->asks, nodes->n, deadline_ms);
	if (!interrupted())
		return 0;
	fleet_done(ret);
	return sb_err_set(err, SB_E_CANCELLED, "interrupted");
}

void fleet_done(struct fleet *fleet)
{
	asks_done(fleet->asks, fleet->nodes ? fleet->nodes->n : 0);
	*fleet = (struct fleet){ 0 };
}

const Sparkbus__NodeState *fleet_state(const struct fleet *fleet, size_t i)
{
	const sb_response *reply = fleet->asks[i].answer.reply;

	return reply ? reply->get_node : NULL;
}

bool job_is_over(Sparkbus__JobState state)
{
	return state == SPARKBUS__JOB_STATE__JOB_STOPPED ||
			state == SPARKBUS__JOB_STATE__JOB_FAILED;
}

/* The leader's word, then the newer generation, then the newer job. */
static bool better(const Sparkbus__JobStatus *a, const Sparkbus__JobStatus *b)
{
	if (a->generation != b->generation && a->authoritative == b->authoritative)
		return a->generation > b->generation;
	return a->authoritative && !b->authoritative;
}

static struct job_view *view_of(struct job_list *list, const Sparkbus__JobStatus *status)
{
	struct job_view *grown;

	for (size_t i = 0; i < list->n; i++)
		if (!strcmp(list->items[i].status->job, status->job))
			return &list->items[i];
	grown = reallocarray(list->items, list->n + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	list->items = grown;
	grown[list->n] = (struct job_view){ .status = status };
	return &grown[list->n++];
}

static struct job_rank *rank_of(struct job_view *view, uint32_t rank)
{
	struct job_rank *grown;

	for (size_t i = 0; i < view->n_ranks; i++)
		if (view->ranks[i].rank == rank)
			return &view->ranks[i];
	grown = reallocarray(view->ranks, view->n_ranks + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	view->ranks = grown;
	grown[view->n_ranks] = (struct job_rank){ .rank = rank, .node = "" };
	return &grown[view->n_ranks++];
}

static bool merge_ranks(struct job_view *view, const Sparkbus__JobStatus *status)
{
	/* The leader lists every rank; on top of it a rank's own word only fills gaps. */
	bool whole = view->status->authoritative && view->status != status;

	for (size_t i = 0; i < status->n_ranks; i++) {
		struct job_rank *rank = rank_of(view, status->ranks[i]->rank);

		if (!rank)
			return false;
		if (rank->status && (whole || rank->status->version > status->ranks[i]->version))
			continue;
		rank->status = status->ranks[i];
		rank->node = status->ranks[i]->node;
	}
	for (size_t i = 0; i < status->n_nodes; i++) {
		struct job_rank *rank = rank_of(view, (uint32_t)i);

		if (!rank)
			return false;
		if (!*rank->node)
			rank->node = status->nodes[i];
	}
	return true;
}

static int by_rank(const void *a, const void *b)
{
	const struct job_rank *x = a, *y = b;

	return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_age(const void *a, const void *b)
{
	const struct job_view *x = a, *y = b;
	int over = job_is_over(x->status->state) - job_is_over(y->status->state);

	if (over)
		return over;
	if (x->status->created_unix_ms != y->status->created_unix_ms)
		return x->status->created_unix_ms < y->status->created_unix_ms ? 1 : -1;
	return strcmp(x->status->job, y->status->job);
}

typedef bool (*visit_fn)(struct job_list *list, const Sparkbus__JobStatus *status);

static bool visit_choose(struct job_list *list, const Sparkbus__JobStatus *status)
{
	struct job_view *view = view_of(list, status);

	if (view && better(status, view->status))
		view->status = status;
	return view != NULL;
}

/* Ranks that the chosen status lists come first, so that rank_of() finds them. */
static bool visit_merge(struct job_list *list, const Sparkbus__JobStatus *status)
{
	struct job_view *view = view_of(list, status);

	return view && (view->n_ranks || merge_ranks(view, view->status)) &&
			merge_ranks(view, status);
}

static bool visit_all(const struct fleet *fleet, struct job_list *list, visit_fn fn)
{
	for (size_t i = 0; i < fleet->nodes->n; i++) {
		const Sparkbus__NodeState *state = fleet_state(fleet, i);

		for (size_t k = 0; state && k < state->n_jobs; k++)
			if (!fn(list, state->jobs[k]))
				return false;
	}
	return true;
}

static bool has_answered(const struct fleet *fleet, const char *node)
{
	for (size_t i = 0; i < fleet->nodes->n; i++)
		if (!strcmp(fleet->nodes->items[i].node.name, node))
			return fleet_state(fleet, i) != NULL;
	return false;
}

int fleet_jobs(const struct fleet *fleet, struct job_list *ret, struct sb_err *err)
{
	struct job_list list = { 0 };

	if (!visit_all(fleet, &list, visit_choose) || !visit_all(fleet, &list, visit_merge)) {
		job_list_done(&list);
		return sb_err_nomem(err);
	}
	for (size_t i = 0; i < list.n; i++) {
		struct job_view *view = &list.items[i];

		view->leader_ended = !view->status->authoritative &&
				has_answered(fleet, view->status->leader);
		view->leader_silent = !view->status->authoritative && !view->leader_ended;
		if (view->n_ranks)
			qsort(view->ranks, view->n_ranks, sizeof(*view->ranks), by_rank);
	}
	if (list.n)
		qsort(list.items, list.n, sizeof(*list.items), by_age);
	*ret = list;
	return 0;
}

void job_list_done(struct job_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i].ranks);
	free(list->items);
	*list = (struct job_list){ 0 };
}

/* The hex digits of a target that is spelled like a job id, or NULL. */
static const char *id_digits(const char *target)
{
	static const char *const prefixes[] = { "sparkbus_", "sparkrun_" };
	size_t len;

	for (size_t i = 0; i < sb_countof(prefixes); i++)
		if (!strncmp(target, prefixes[i], strlen(prefixes[i])))
			target += strlen(prefixes[i]);
	len = strspn(target, "0123456789abcdef");
	return !target[len] && len >= 8 && len <= ID_DIGITS ? target : NULL;
}

bool job_target_is_id(const char *target)
{
	return id_digits(target) != NULL;
}

const char *job_short(const char *job)
{
	const char *digits = id_digits(job);

	return digits ? digits : job;
}

/* "@reg/qwen3", "dir/qwen3.yaml" and "qwen3" are one name when only the stem is given. */
static void stem_of(const char *name, const char **ret, size_t *ret_len)
{
	const char *slash = strrchr(name, '/');
	const char *stem = slash ? slash + 1 : name;
	size_t len = strlen(stem);

	if (len > 5 && !strcmp(stem + len - 5, ".yaml"))
		len -= 5;
	else if (len > 4 && !strcmp(stem + len - 4, ".yml"))
		len -= 4;
	*ret = stem;
	*ret_len = len;
}

static bool name_matches(const char *recipe, const char *target)
{
	const char *a, *b;
	size_t a_len, b_len;

	if (!strcmp(recipe, target))
		return true;
	/* Two registries may have a recipe of the same stem. */
	if (target[0] == '@' && recipe[0] == '@')
		return false;
	stem_of(recipe, &a, &a_len);
	stem_of(target, &b, &b_len);
	return a_len == b_len && !strncmp(a, b, a_len);
}

static bool port_matches(const char *url, long port)
{
	const char *colon = strrchr(url, ':');

	return colon && strtol(colon + 1, NULL, 10) == port;
}

bool job_matches(const Sparkbus__JobStatus *status, const struct job_filter *filter)
{
	const char *digits = filter->target ? id_digits(filter->target) : NULL;
	const char *id = job_short(status->job);

	if (digits && strncmp(id, digits, strlen(digits)) != 0)
		return false;
	if (filter->target && !digits && strcmp(status->job, filter->target) != 0 &&
			!name_matches(status->recipe, filter->target))
		return false;
	if (filter->tp.text && (long)status->tensor_parallel != filter->tp.value)
		return false;
	if (filter->port.text && !port_matches(status->url, filter->port.value))
		return false;
	return !filter->served_model_name ||
			!strcmp(status->served_model_name, filter->served_model_name);
}

int jobs_find(const struct fleet *fleet, const struct job_filter *filter, struct job_list *ret,
		struct sb_err *err)
{
	struct job_list list = { 0 };
	size_t kept = 0;
	int rc = fleet_jobs(fleet, &list, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < list.n; i++) {
		if (job_matches(list.items[i].status, filter))
			list.items[kept++] = list.items[i];
		else
			free(list.items[i].ranks);
	}
	list.n = kept;
	*ret = list;
	return 0;
}
