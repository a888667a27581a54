/* What the nodes say, as the model of the monitor. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "monitor.h"
#include "status_nodes.h"

#define EVENTS_PER_POLL 256u
#define LOG_LINES       100u

struct event_cursor {
	uint8_t bytes[64];
	size_t len;
};

int monitor_init(struct monitor *m, struct cli *cli, const struct cli_nodes *nodes,
		unsigned interval_ms, unsigned deadline_ms, struct sb_err *err)
{
	pthread_condattr_t attr;
	int rc;

	*m = (struct monitor){ .cli = cli, .nodes = nodes, .news = -1 };
	m->interval_ms = interval_ms;
	m->deadline_ms = deadline_ms;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wanted, &attr);
	pthread_condattr_destroy(&attr);
	m->cursors = calloc(nodes->n + 1, sizeof(*m->cursors));
	if (!m->cursors)
		return sb_err_nomem(err);
	rc = cli_client(cli, &m->client, err);
	if (rc == 0)
		rc = sb_monitor_model_init(&m->model, nodes->n, 0, err);
	for (size_t i = 0; rc == 0 && i < nodes->n; i++)
		m->model.nodes[i].name = strdup(nodes->items[i].node.name);
	return rc;
}

void monitor_done(struct monitor *m)
{
	if (!m->cli)
		return;
	sb_monitor_model_done(&m->model);
	sb_monitor_lines_done(&m->events);
	sb_monitor_lines_done(&m->log);
	free(m->cursors);
	pthread_cond_destroy(&m->wanted);
	pthread_mutex_destroy(&m->lock);
}

static bool stopped(struct monitor *m)
{
	bool stop;

	pthread_mutex_lock(&m->lock);
	stop = m->stop;
	pthread_mutex_unlock(&m->lock);
	return stop || interrupted();
}

/* --- the model --- */

static char *clean(const char *text)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	sb_render_clean(&out, text, strlen(text));
	return strdup(sb_strbuf_str(&out));
}

static void set_gpu(struct sb_monitor_node *n, const Sparkbus__NodeState *s)
{
	const Sparkbus__GpuState *gpu = s->telemetry ? s->telemetry->gpu : NULL;
	const Sparkbus__Gpu *g = gpu && gpu->n_gpus ? gpu->gpus[0] : NULL;

	if (g && g->has_utilization_case)
		n->gpu_percent = (int32_t)g->utilization_percent;
	if (g && g->has_temperature_case)
		n->gpu_c = g->temperature_c;
	if (g && g->has_power_case)
		n->gpu_w = (int32_t)(g->power_mw / 1000);
}

static void set_memory(struct sb_monitor_node *n, const Sparkbus__NodeState *s)
{
	const Sparkbus__MemoryState *m = s->telemetry ? s->telemetry->memory : NULL;

	if (m && m->has_total_case && m->has_available_case && m->total_bytes &&
			m->available_bytes <= m->total_bytes)
		n->memory_percent = (int32_t)((double)(m->total_bytes - m->available_bytes) * 100 /
				(double)m->total_bytes);
}

static void set_node(struct sb_monitor_node *n, const struct fleet *fleet,
		const struct sb_fabric *fabric, unsigned i)
{
	const Sparkbus__NodeState *s = fleet_state(fleet, i);
	const struct cli_node *node = &fleet->nodes->items[i];
	struct sb_strbuf cells[3] = { SB_STRBUF_INIT, SB_STRBUF_INIT, SB_STRBUF_INIT };

	n->name = strdup(node->node.name);
	if (!s) {
		n->silent = clean(ask_reason(node, &fleet->asks[i].answer));
		return;
	}
	status_node_health(s, &cells[0]);
	status_node_memory(s, &cells[1]);
	status_node_fabric(s, fabric, i, &cells[2]);
	n->well = !strcmp(sb_strbuf_str(&cells[0]), "ok");
	n->health = sb_strbuf_steal(&cells[0]);
	n->memory = sb_strbuf_steal(&cells[1]);
	n->fabric = sb_strbuf_steal(&cells[2]);
	n->jobs = (unsigned)status_node_jobs(s);
	set_memory(n, s);
	set_gpu(n, s);
}

static enum sb_monitor_tone tone_of(const Sparkbus__JobStatus *s)
{
	if (s->state == SPARKBUS__JOB_STATE__JOB_READY &&
			s->health == SPARKBUS__HEALTH__HEALTH_HEALTHY)
		return SB_MONITOR_GOOD;
	return s->state == SPARKBUS__JOB_STATE__JOB_FAILED ||
					s->state == SPARKBUS__JOB_STATE__JOB_UNHEALTHY
			? SB_MONITOR_BAD
			: SB_MONITOR_WARN;
}

static char *nodes_of(const struct job_view *view)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;

	for (size_t i = 0; i < view->n_ranks; i++)
		sb_strbuf_addf(&out, "%s%s", i ? "," : "",
				*view->ranks[i].node ? view->ranks[i].node : "?");
	return clean(sb_strbuf_str(&out));
}

/* A figure of the last time it was told is none of now. */
static void set_engine(struct sb_monitor_job *j, const Sparkbus__EngineLoad *load)
{
	SB_CLEANUP(sb_strbuf_done)
	struct sb_strbuf tokens = SB_STRBUF_INIT, kv = SB_STRBUF_INIT, requests = SB_STRBUF_INIT;

	if (!load || !load->told)
		return;
	if (load->has_rate_case)
		sb_strbuf_addf(&tokens, "%.*f", load->tokens_per_s < 100 ? 1 : 0,
				load->tokens_per_s);
	if (load->has_kv_case)
		sb_strbuf_addf(&kv, "%u%%", load->kv_used / 100);
	if (load->has_running_case)
		sb_strbuf_addf(&requests, "%u", load->running);
	if (load->has_waiting_case)
		sb_strbuf_addf(&requests, "+%u", load->waiting);
	j->tokens = sb_strbuf_steal(&tokens);
	j->kv = sb_strbuf_steal(&kv);
	j->requests = sb_strbuf_steal(&requests);
}

static void set_job(struct sb_monitor_job *j, const struct job_view *view)
{
	const Sparkbus__JobStatus *s = view->status;
	uint64_t now = sb_now_unix_ms();
	char up[32];

	j->id = clean(job_short(s->job));
	j->name = clean(*s->recipe ? s->recipe : s->job);
	j->state = strdup(job_state_text(s->state));
	j->health = strdup(view->leader_silent ? "unknown" : health_text(s->health));
	if (s->ready_unix_ms)
		j->up = strdup(sb_render_duration(
				now > s->ready_unix_ms ? now - s->ready_unix_ms : 0, up,
				sizeof(up)));
	j->model = clean(s->model);
	j->url = clean(s->url);
	j->reason = clean(s->reason);
	j->nodes = nodes_of(view);
	set_engine(j, s->engine);
	j->tone = view->leader_silent ? SB_MONITOR_WARN : tone_of(s);
}

static void set_clock(char *clock, size_t size, uint64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(clock, size, "%H:%M:%S", &tm);
}

static void wake(struct monitor *m)
{
	if (m->news >= 0)
		eventfd_write(m->news, 1);
}

static int take_model(struct monitor *m, const struct fleet *fleet, const struct job_list *jobs,
		struct sb_err *err)
{
	SB_CLEANUP(sb_freep) struct sb_fabric_node *reports = NULL;
	SB_CLEANUP(sb_fabric_freep) struct sb_fabric *fabric = NULL;
	struct sb_monitor_model next, before;
	int rc = status_fabric(fleet, &reports, &fabric, err);

	if (rc == 0)
		rc = sb_monitor_model_init(&next, fleet->nodes->n, jobs->n, err);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < next.n_nodes; i++)
		set_node(&next.nodes[i], fleet, fabric, i);
	for (size_t i = 0; i < next.n_jobs; i++)
		set_job(&next.jobs[i], &jobs->items[i]);
	set_clock(next.clock, sizeof(next.clock), sb_now_unix_ms());
	sb_monitor_model_follow(&next, &m->model);
	pthread_mutex_lock(&m->lock);
	before = m->model;
	m->model = next;
	pthread_mutex_unlock(&m->lock);
	sb_monitor_model_done(&before);
	wake(m);
	return 0;
}

/* --- events --- */

struct item {
	uint64_t unix_ms;
	size_t seq;
	char *text;
};
/* Of this round, of all nodes. */
struct items {
	struct item *list;
	size_t n, seq;
};

static int by_time(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->unix_ms != y->unix_ms)
		return x->unix_ms < y->unix_ms ? -1 : 1;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static void items_done(struct items *items)
{
	for (size_t i = 0; i < items->n; i++)
		free(items->list[i].text);
	free(items->list);
}

/* Keep the newest, as many as are shown. */
static void sort_items(struct items *items)
{
	size_t over = items->n > SB_MONITOR_LINES ? items->n - SB_MONITOR_LINES : 0;

	if (items->n)
		qsort(items->list, items->n, sizeof(*items->list), by_time);
	for (size_t i = 0; i < over; i++)
		free(items->list[i].text);
	if (over)
		memmove(items->list, items->list + over, (items->n - over) * sizeof(*items->list));
	items->n -= over;
}

/* "14:03:21 spark1 link.down [d3d9bb4ada9d] text" */
static char *event_line(const Sparkbus__Event *ev)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
	char clock[16];

	set_clock(clock, sizeof(clock), ev->unix_ms);
	sb_strbuf_addf(&line, "%s %s %s ", clock, ev->node, ev->kind);
	if (*ev->job)
		sb_strbuf_addf(&line, "[%s] ", job_short(ev->job));
	sb_render_clean(&line, ev->text, strlen(ev->text));
	return sb_strbuf_steal(&line);
}

/* @ret_more: the answer was full. */
static int take_events(struct items *items, struct event_cursor *cursor,
		const Sparkbus__WatchEventsReply *reply, bool *ret_more)
{
	struct item *grown =
			reallocarray(items->list, items->n + reply->n_events + 1, sizeof(*grown));

	if (!grown)
		return -SB_E_NOMEM;
	items->list = grown;
	for (size_t i = 0; i < reply->n_events; i++)
		grown[items->n++] = (struct item){ reply->events[i]->unix_ms, items->seq++,
			event_line(reply->events[i]) };
	if (reply->next_cursor.len > sizeof(cursor->bytes))
		return -SB_E_PROTOCOL;
	cursor->len = reply->next_cursor.len;
	if (cursor->len)
		memcpy(cursor->bytes, reply->next_cursor.data, cursor->len);
	*ret_more = reply->n_events >= EVENTS_PER_POLL;
	return 0;
}

/* One question to each node in @asked; *@ret_more: some have more to tell. */
static int ask_events(struct monitor *m, bool *asked, struct items *items, bool *ret_more)
{
	size_t nodes = m->nodes->n, n = 0;
	SB_CLEANUP(sb_freep)
	Sparkbus__WatchEventsRequest *bodies = calloc(nodes + 1, sizeof(*bodies));
	SB_CLEANUP(sb_freep) size_t *of = calloc(nodes + 1, sizeof(*of));
	struct ask *asks = calloc(nodes + 1, sizeof(*asks));
	int rc = bodies && of && asks ? 0 : -SB_E_NOMEM;

	for (size_t i = 0; rc == 0 && i < nodes; i++) {
		struct event_cursor *cursor = &m->cursors[i];

		if (!asked[i])
			continue;
		sparkbus__watch_events_request__init(&bodies[n]);
		bodies[n].cursor = (ProtobufCBinaryData){ cursor->len, cursor->bytes };
		bodies[n].from_start = !cursor->len;
		bodies[n].max = EVENTS_PER_POLL;
		rc = ask_init(&asks[n], &m->nodes->items[i], SPARKBUS__REQUEST__BODY_WATCH_EVENTS,
				&bodies[n], NULL);
		of[n++] = i;
	}
	if (rc == 0)
		asks_send(m->cli, m->client, asks, n, m->deadline_ms);
	*ret_more = false;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const sb_response *reply = asks[i].answer.reply;
		bool *more = &asked[of[i]];

		*more = false;
		if (reply)
			rc = take_events(items, &m->cursors[of[i]], reply->watch_events, more);
		*ret_more |= *more;
	}
	sort_items(items);
	asks_done(asks, n);
	return rc;
}

/* A silent node is not asked: it has cost its deadline already. */
static int read_events(struct monitor *m, const struct fleet *fleet)
{
	SB_CLEANUP(sb_freep) bool *asked = calloc(m->nodes->n + 1, sizeof(*asked));
	SB_CLEANUP(items_done) struct items items = { 0 };
	bool more = true;
	int rc = asked ? 0 : -SB_E_NOMEM;

	for (size_t i = 0; asked && i < m->nodes->n; i++)
		asked[i] = fleet_state(fleet, i) != NULL;
	while (rc == 0 && more && !stopped(m))
		rc = ask_events(m, asked, &items, &more);
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < items.n; i++)
		sb_monitor_lines_add(&m->events, sb_steal(items.list[i].text));
	pthread_mutex_unlock(&m->lock);
	if (items.n)
		wake(m);
	return rc;
}

/* --- the log of a job --- */

static const struct job_view *find_job(const struct job_list *jobs, const char *id)
{
	for (size_t i = 0; i < jobs->n; i++)
		if (!strncmp(job_short(jobs->items[i].status->job), id, SB_MONITOR_KEY - 1))
			return &jobs->items[i];
	return NULL;
}

static void take_log(struct monitor *m, const char *id, const Sparkbus__ReadLogReply *reply)
{
	pthread_mutex_lock(&m->lock);
	/* Another job's log may be wanted since. */
	for (size_t i = 0; !strcmp(m->log_job, id) && i < reply->n_lines; i++) {
		SB_CLEANUP(sb_strbuf_done) struct sb_strbuf line = SB_STRBUF_INIT;
		const ProtobufCBinaryData *text = &reply->lines[i]->text;

		log_text(&line, (const char *)text->data, text->len, false);
		sb_monitor_lines_add(&m->log, strdup(sb_strbuf_str(&line)));
	}
	pthread_mutex_unlock(&m->lock);
	m->log_cursor_len = 0;
	if (reply->next_cursor.len && reply->next_cursor.len <= sizeof(m->log_cursor)) {
		memcpy(m->log_cursor, reply->next_cursor.data, reply->next_cursor.len);
		m->log_cursor_len = reply->next_cursor.len;
	}
	wake(m);
}

/* The head's, which is what the engine's API says. */
static void read_log(struct monitor *m, const struct job_list *jobs)
{
	SB_CLEANUP(sb_answer_done) struct sb_answer answer = { 0 };
	Sparkbus__ReadLogRequest body = SPARKBUS__READ_LOG_REQUEST__INIT;
	const struct cli_node *node;
	const struct job_view *view;
	char id[SB_MONITOR_KEY];

	pthread_mutex_lock(&m->lock);
	memcpy(id, m->log_job, sizeof(id));
	if (!m->log.n)
		m->log_cursor_len = 0; /* the screen has emptied it for another job */
	pthread_mutex_unlock(&m->lock);
	view = *id ? find_job(jobs, id) : NULL;
	node = view && view->n_ranks ? hosts_by_name(m->nodes, view->ranks[0].node) : NULL;
	if (!node)
		return;
	body.job = view->status->job;
	body.cursor = (ProtobufCBinaryData){ m->log_cursor_len, m->log_cursor };
	body.tail = LOG_LINES;
	ask_one(m->cli, node, SPARKBUS__REQUEST__BODY_READ_LOG, &body, m->deadline_ms, &answer,
			NULL);
	if (answer.reply)
		take_log(m, id, answer.reply->read_log);
}

/* --- rounds --- */

int monitor_round(struct monitor *m, size_t *ret_silent, struct sb_err *err)
{
	SB_CLEANUP(fleet_done) struct fleet fleet = { 0 };
	SB_CLEANUP(job_list_done) struct job_list jobs = { 0 };
	int rc = fleet_ask_within(m->cli, m->nodes, true, m->deadline_ms, &fleet, err);

	if (rc == 0)
		rc = fleet_jobs(&fleet, &jobs, err);
	if (rc == 0)
		rc = take_model(m, &fleet, &jobs, err);
	if (rc == 0 && read_events(m, &fleet) < 0)
		rc = sb_err_set(err, SB_E_PROTOCOL, "strange events");
	if (rc == 0 && !stopped(m))
		read_log(m, &jobs);
	if (ret_silent)
		*ret_silent = fleet.silent;
	return rc;
}

static void wait_until(struct monitor *m, const struct timespec *due)
{
	char job[SB_MONITOR_KEY];

	pthread_mutex_lock(&m->lock);
	memcpy(job, m->log_job, sizeof(job));
	while (!m->stop && !strcmp(job, m->log_job) &&
			pthread_cond_timedwait(&m->wanted, &m->lock, due) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&m->lock);
}

void *monitor_poll(void *monitor)
{
	struct monitor *m = monitor;

	while (!stopped(m)) {
		struct sb_err err = SB_ERR_INIT;
		struct timespec due;

		clock_gettime(CLOCK_MONOTONIC, &due);
		due.tv_sec += m->interval_ms / 1000;
		if (monitor_round(m, NULL, &err) < 0 && !stopped(m)) {
			pthread_mutex_lock(&m->lock);
			snprintf(m->model.error, sizeof(m->model.error), "%s", err.text);
			pthread_mutex_unlock(&m->lock);
			wake(m);
		}
		wait_until(m, &due);
	}
	return NULL;
}
