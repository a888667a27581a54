/* fake_engine.c - every call has a turn: a deferred source on the loop. A turn makes one step,
 * which for most operations is the act and the answer; streams and waits keep their call and get
 * further turns by kick(). */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "fake_engine.h"

#define KVS_MAX    32
#define IMAGES_MAX 16

struct line {
	TAILQ_ENTRY(line) entry;
	struct sb_engine_log log;
	char text[256];
};

struct container {
	TAILQ_ENTRY(container) entry;
	TAILQ_HEAD(lines, line) lines;
	struct sb_container_info info; /* owns its texts */
	struct sb_kv labels[KVS_MAX];
};

struct event {
	TAILQ_ENTRY(event) entry;
	struct sb_engine_event ev; /* owns its texts */
	struct sb_kv kvs[KVS_MAX];
};

struct sb_engine_call {
	TAILQ_ENTRY(sb_engine_call) entry;
	struct fake_engine *fake;
	enum fake_op op;
	sd_event_source *turn;
	bool held, keep, ended, in_turn;
	char *id;               /* container, image, or the label of events and list */
	struct container *made; /* by create, not yet in the engine */
	uint64_t since_ns;
	bool flag; /* follow, force */
	int signal, exit_code;
	bool exited, resync;
	struct event *last_event;
	struct line *last_line;
	struct sb_err lost;
	union {
		sb_engine_done_fn done;
		sb_engine_id_fn id;
		sb_engine_version_fn version;
		sb_engine_info_fn info;
		sb_engine_df_fn df;
		sb_image_info_fn image;
		sb_container_info_fn container;
		sb_container_list_fn list;
		sb_engine_wait_fn wait;
		sb_engine_log_fn log;
		sb_engine_event_fn event;
	} fn;
	sb_pull_progress_fn progress;
	void *ctx;
};

struct fake_engine {
	struct sb_engine base;
	sd_event *loop;
	TAILQ_HEAD(, container) containers;
	TAILQ_HEAD(events, event) events;
	TAILQ_HEAD(, sb_engine_call) calls;
	char *images[IMAGES_MAX];
	struct sb_err fail[FAKE_OP_COUNT_];
	bool delayed[FAKE_OP_COUNT_];
	unsigned count[FAKE_OP_COUNT_], made;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static char *copy(const char *s)
{
	return must(strdup(s ? s : ""));
}

static void drop(const char *s)
{
	free((char *)s);
}

static size_t copy_kvs(struct sb_kv *to, size_t at, const struct sb_kv *from, size_t n)
{
	for (size_t i = 0; i < n && at < KVS_MAX; i++, at++)
		to[at] = (struct sb_kv){ copy(from[i].key), copy(from[i].value) };
	return at;
}

static void drop_kvs(struct sb_kv *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		drop(list[i].key);
		drop(list[i].value);
	}
}

static bool has_label(const struct sb_kv *list, size_t n, const char *label)
{
	size_t key = strcspn(label, "=");

	for (size_t i = 0; i < n; i++)
		if (strlen(list[i].key) == key && !strncmp(list[i].key, label, key) &&
				(!label[key] || !strcmp(list[i].value, label + key + 1)))
			return true;
	return !*label;
}

/* --- containers --- */

static struct container *find(struct fake_engine *fake, const char *id)
{
	struct container *c;

	TAILQ_FOREACH(c, &fake->containers, entry)
	{
		if (!strcmp(c->info.id, id) || !strcmp(c->info.name, id))
			return c;
	}
	return NULL;
}

static struct container *container_new(struct fake_engine *fake, const char *name,
		const char *image, const struct sb_kv *labels, size_t n)
{
	struct container *c = must(calloc(1, sizeof(*c)));
	char id[32];

	snprintf(id, sizeof(id), "c0ffee%06u", ++fake->made);
	c->info.id = copy(id);
	c->info.name = copy(sb_empty(name) ? id : name);
	c->info.image = copy(image);
	c->info.error = "";
	c->info.labels = c->labels;
	c->info.n_labels = copy_kvs(c->labels, 0, labels, n);
	TAILQ_INIT(&c->lines);
	return c;
}

static void container_free(struct container *c)
{
	struct line *line;

	if (!c)
		return;
	while ((line = TAILQ_FIRST(&c->lines))) {
		TAILQ_REMOVE(&c->lines, line, entry);
		free(line);
	}
	drop(c->info.id);
	drop(c->info.name);
	drop(c->info.image);
	drop_kvs(c->labels, c->info.n_labels);
	free(c);
}

static void kick(struct fake_engine *fake, enum fake_op op)
{
	struct sb_engine_call *call;

	TAILQ_FOREACH(call, &fake->calls, entry)
	{
		if (call->op == op && !call->held)
			sd_event_source_set_enabled(call->turn, SD_EVENT_ONESHOT);
	}
}

void fake_engine_event(struct fake_engine *fake, const struct sb_engine_event *event)
{
	struct event *e = must(calloc(1, sizeof(*e)));

	e->ev = *event;
	e->ev.type = copy(event->type);
	e->ev.action = copy(event->action);
	e->ev.id = copy(event->id);
	e->ev.name = copy(event->name);
	e->ev.attributes = e->kvs;
	e->ev.n_attributes = copy_kvs(e->kvs, 0, event->attributes, event->n_attributes);
	TAILQ_INSERT_TAIL(&fake->events, e, entry);
	kick(fake, FAKE_EVENTS);
}

static void tell(struct fake_engine *fake, const struct container *c, const char *action)
{
	struct sb_engine_event ev = {
		.type = "container",
		.action = action,
		.id = c->info.id,
		.name = c->info.name,
		.exit_code = strcmp(action, "die") ? 0 : c->info.exit_code,
		.attributes = c->labels,
		.n_attributes = c->info.n_labels,
		.unix_ns = sb_now_unix_ms() * 1000000,
	};

	fake_engine_event(fake, &ev);
}

void fake_engine_exit(struct fake_engine *fake, const char *id, int exit_code)
{
	struct container *c = must(find(fake, id));
	struct sb_engine_call *call;

	if (c->info.state != SB_CONTAINER_RUNNING)
		return;
	c->info.state = SB_CONTAINER_EXITED;
	c->info.pid = 0;
	c->info.exit_code = exit_code;
	c->info.finished_unix_ms = sb_now_unix_ms();
	tell(fake, c, "die");
	TAILQ_FOREACH(call, &fake->calls, entry)
	{
		if (call->op != FAKE_WAIT || !call->keep || find(fake, call->id) != c)
			continue;
		call->exited = true;
		call->exit_code = exit_code;
	}
	kick(fake, FAKE_WAIT);
	kick(fake, FAKE_LOGS);
}

static void run(struct fake_engine *fake, struct container *c)
{
	c->info.state = SB_CONTAINER_RUNNING;
	c->info.pid = 1000 + (int)fake->made;
	c->info.started_unix_ms = sb_now_unix_ms();
	tell(fake, c, "start");
}

void fake_engine_foreign(struct fake_engine *fake, const char *name, const char *image)
{
	struct container *c = container_new(fake, name, image, NULL, 0);

	TAILQ_INSERT_TAIL(&fake->containers, c, entry);
	run(fake, c);
}

void fake_engine_log(struct fake_engine *fake, const char *id, int stream, uint64_t unix_ns,
		const char *text)
{
	struct container *c = must(find(fake, id));
	struct line *line = must(calloc(1, sizeof(*line)));

	line->log = (struct sb_engine_log){ stream, unix_ns, line->text, 0 };
	snprintf(line->text, sizeof(line->text), "%s", text);
	line->log.len = strlen(line->text);
	TAILQ_INSERT_TAIL(&c->lines, line, entry);
	kick(fake, FAKE_LOGS);
}

static char **image_slot(struct fake_engine *fake, const char *ref)
{
	for (size_t i = 0; i < IMAGES_MAX; i++)
		if (fake->images[i] && !strcmp(fake->images[i], ref))
			return &fake->images[i];
	return NULL;
}

void fake_engine_image(struct fake_engine *fake, const char *ref, bool present)
{
	char **slot = image_slot(fake, ref);

	if (slot && !present) {
		free(*slot);
		*slot = NULL;
	}
	for (size_t i = 0; present && !slot && i < IMAGES_MAX; i++)
		if (!fake->images[i])
			*(slot = &fake->images[i]) = copy(ref);
}

/* --- what an operation does in its turn; @err is the failure that a test asked for --- */

typedef struct sb_engine_call *call_t;

/* The call's container, or NULL with @err set to a failure in @own. */
static struct container *want(call_t c, const struct sb_err **err, struct sb_err *own)
{
	struct container *found = *err ? NULL : find(c->fake, c->id);

	if (!found && !*err) {
		sb_err_set(own, SB_E_NOT_FOUND, "no such container: %s", c->id);
		*err = own;
	}
	return found;
}

static void act_done(call_t c, const struct sb_err *err)
{
	c->fn.done(c->ctx, err);
}

static void act_version(call_t c, const struct sb_err *err)
{
	struct sb_engine_version v = { "0.0-fake", "1.44", "linux", "arm64" };

	c->fn.version(c->ctx, err ? NULL : &v, err);
}

static void act_info(call_t c, const struct sb_err *err)
{
	struct sb_engine_info info = { .root_dir = "/nonexistent", .driver = "fake" };
	struct container *k;

	TAILQ_FOREACH(k, &c->fake->containers, entry)
	info.containers_running += k->info.state == SB_CONTAINER_RUNNING;
	c->fn.info(c->ctx, err ? NULL : &info, err);
}

static void act_df(call_t c, const struct sb_err *err)
{
	struct sb_engine_df df = { .images_bytes = 1 << 20 };

	c->fn.df(c->ctx, err ? NULL : &df, err);
}

static void act_image(call_t c, const struct sb_err *err)
{
	static const char *const none[] = { NULL };
	struct sb_image_info info = { "sha256:fa4e", 1 << 20, "arm64", none, none };
	struct sb_err own = SB_ERR_INIT;

	if (!err && !image_slot(c->fake, c->id)) {
		sb_err_set(&own, SB_E_NOT_FOUND, "no such image: %s", c->id);
		err = &own;
	}
	c->fn.image(c->ctx, err ? NULL : &info, err);
}

static void act_pull(call_t c, const struct sb_err *err)
{
	if (!err)
		fake_engine_image(c->fake, c->id, true);
	if (!err && c->progress)
		c->progress(c->ctx, "1a7e4", "Downloading", 1 << 20, 1 << 20);
	if (!c->ended)
		c->fn.done(c->ctx, err);
}

static void act_create(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = c->made;

	if (!err && !image_slot(c->fake, k->info.image)) {
		sb_err_set(&own, SB_E_NOT_FOUND, "no such image: %s", k->info.image);
		err = &own;
	} else if (!err && find(c->fake, k->info.name)) {
		sb_err_set(&own, SB_E_BUSY, "the name %s is taken", k->info.name);
		err = &own;
	}
	if (!err) {
		c->made = NULL;
		TAILQ_INSERT_TAIL(&c->fake->containers, k, entry);
		tell(c->fake, k, "create");
	}
	c->fn.id(c->ctx, err ? NULL : k->info.id, err);
}

static void act_start(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = want(c, &err, &own);

	if (k && k->info.state != SB_CONTAINER_RUNNING)
		run(c->fake, k);
	c->fn.done(c->ctx, err);
}

/* Stop and kill. The container obeys SIGTERM at once. */
static void act_signal(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = want(c, &err, &own);

	if (k && c->op == FAKE_KILL && k->info.state != SB_CONTAINER_RUNNING) {
		sb_err_set(&own, SB_E_BUSY, "container %s is not running", c->id);
		err = &own;
	}
	if (!err && (c->signal == SIGTERM || c->signal == SIGKILL || c->signal == SIGINT))
		fake_engine_exit(c->fake, c->id, 128 + c->signal);
	c->fn.done(c->ctx, err);
}

static void act_inspect(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = want(c, &err, &own);

	c->fn.container(c->ctx, k ? &k->info : NULL, err);
}

static void act_wait(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = c->exited ? NULL : want(c, &err, &own);

	c->keep = k && k->info.state == SB_CONTAINER_RUNNING;
	if (!c->keep)
		c->fn.wait(c->ctx, k ? k->info.exit_code : c->exit_code, err);
}

static void act_remove(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = err ? NULL : find(c->fake, c->id);

	if (k && k->info.state == SB_CONTAINER_RUNNING && !c->flag) {
		sb_err_set(&own, SB_E_BUSY, "container %s is running", c->id);
		err = &own;
	} else if (k) {
		fake_engine_exit(c->fake, c->id, 137);
		tell(c->fake, k, "destroy");
		TAILQ_REMOVE(&c->fake->containers, k, entry);
		container_free(k);
	}
	c->fn.done(c->ctx, err);
}

static void act_put(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;

	want(c, &err, &own);
	c->fn.done(c->ctx, err);
}

static void act_list(call_t c, const struct sb_err *err)
{
	struct sb_container_info list[64];
	struct container *k;
	size_t n = 0;

	TAILQ_FOREACH(k, &c->fake->containers, entry)
	{
		if (n < sb_countof(list) && has_label(k->labels, k->info.n_labels, c->id))
			list[n++] = k->info;
	}
	c->fn.list(c->ctx, err ? NULL : list, err ? 0 : n, err);
}

static void act_logs(call_t c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k;
	struct line *line = NULL;

	if (!err && c->lost.code)
		err = &c->lost;
	k = want(c, &err, &own);
	/* One that was there and is gone has ended well. */
	if (!k && c->keep && err == &own)
		err = NULL;
	if (k)
		line = c->last_line ? TAILQ_NEXT(c->last_line, entry) : TAILQ_FIRST(&k->lines);
	c->keep = line || (k && c->flag && k->info.state == SB_CONTAINER_RUNNING);
	if (line) {
		c->last_line = line;
		sd_event_source_set_enabled(c->turn, SD_EVENT_ONESHOT);
		if (line->log.unix_ns > c->since_ns)
			c->fn.log(c->ctx, &line->log, NULL);
	} else if (!c->keep) {
		c->fn.log(c->ctx, NULL, err);
	}
}

static void act_events(call_t c, const struct sb_err *err)
{
	struct event *next;

	c->keep = true;
	if (err || c->lost.code) {
		struct sb_err lost = err ? *err : c->lost;

		c->lost = (struct sb_err)SB_ERR_INIT;
		c->resync = false;
		sd_event_source_set_enabled(c->turn, SD_EVENT_ONESHOT);
		c->fn.event(c->ctx, NULL, false, &lost);
		return;
	}
	next = c->last_event ? TAILQ_NEXT(c->last_event, entry) : TAILQ_FIRST(&c->fake->events);
	if (!c->resync || next)
		sd_event_source_set_enabled(c->turn, SD_EVENT_ONESHOT);
	if (!c->resync) {
		c->resync = true;
		c->fn.event(c->ctx, NULL, true, NULL);
	} else if (next) {
		c->last_event = next;
		if (has_label(next->kvs, next->ev.n_attributes, c->id))
			c->fn.event(c->ctx, &next->ev, false, NULL);
	}
}

static void (*const acts[FAKE_OP_COUNT_])(call_t, const struct sb_err *) = {
	[FAKE_PING] = act_done,
	[FAKE_VERSION] = act_version,
	[FAKE_INFO] = act_info,
	[FAKE_DF] = act_df,
	[FAKE_IMAGE_INSPECT] = act_image,
	[FAKE_IMAGE_PULL] = act_pull,
	[FAKE_CREATE] = act_create,
	[FAKE_START] = act_start,
	[FAKE_INSPECT] = act_inspect,
	[FAKE_STOP] = act_signal,
	[FAKE_KILL] = act_signal,
	[FAKE_WAIT] = act_wait,
	[FAKE_REMOVE] = act_remove,
	[FAKE_LIST] = act_list,
	[FAKE_LOGS] = act_logs,
	[FAKE_EVENTS] = act_events,
	[FAKE_ARCHIVE_PUT] = act_put,
};

/* --- calls --- */

static void call_free(call_t c)
{
	sd_event_source_disable_unref(c->turn);
	container_free(c->made);
	free(c->id);
	free(c);
}

static void call_end(call_t c)
{
	if (!c || c->ended)
		return;
	c->ended = true;
	TAILQ_REMOVE(&c->fake->calls, c, entry);
	if (!c->in_turn)
		call_free(c);
}

static int on_turn(sd_event_source *source, void *arg)
{
	call_t c = arg;
	struct sb_err *slot = &c->fake->fail[c->op], err = *slot;

	if (c->fake->delayed[c->op] && !c->keep) {
		c->held = true;
		return 0;
	}
	if (!c->keep)
		*slot = (struct sb_err)SB_ERR_INIT;
	c->in_turn = true;
	acts[c->op](c, err.code && !c->keep ? &err : NULL);
	c->in_turn = false;
	if (c->ended)
		call_free(c);
	else if (!c->keep)
		call_end(c);
	return 0;
}

static call_t begin(struct sb_engine *engine, enum fake_op op, const char *id, void *ctx,
		struct sb_engine_call **ret)
{
	struct fake_engine *fake = sb_container_of(engine, struct fake_engine, base);
	call_t c = must(calloc(1, sizeof(*c)));

	c->fake = fake;
	c->op = op;
	c->id = copy(id);
	c->ctx = ctx;
	c->last_event = TAILQ_LAST(&fake->events, events);
	TAILQ_INSERT_TAIL(&fake->calls, c, entry);
	if (sd_event_add_defer(fake->loop, &c->turn, on_turn, c) < 0)
		abort();
	fake->count[op]++;
	if (ret)
		*ret = c;
	return c;
}

#define PLAIN(name, op, fn_t, member)                                                              \
	static int name(struct sb_engine *e, fn_t fn, void *ctx, struct sb_engine_call **ret,      \
			struct sb_err *err)                                                        \
	{                                                                                          \
		begin(e, op, "", ctx, ret)->fn.member = fn;                                        \
		return 0;                                                                          \
	}
#define NAMED(name, op, fn_t, member)                                                              \
	static int name(struct sb_engine *e, const char *id, fn_t fn, void *ctx,                   \
			struct sb_engine_call **ret, struct sb_err *err)                           \
	{                                                                                          \
		begin(e, op, id, ctx, ret)->fn.member = fn;                                        \
		return 0;                                                                          \
	}
PLAIN(fake_ping, FAKE_PING, sb_engine_done_fn, done)
PLAIN(fake_version, FAKE_VERSION, sb_engine_version_fn, version)
PLAIN(fake_info, FAKE_INFO, sb_engine_info_fn, info)
PLAIN(fake_df, FAKE_DF, sb_engine_df_fn, df)
NAMED(fake_image_inspect, FAKE_IMAGE_INSPECT, sb_image_info_fn, image)
NAMED(fake_start, FAKE_START, sb_engine_done_fn, done)
NAMED(fake_inspect, FAKE_INSPECT, sb_container_info_fn, container)
NAMED(fake_wait, FAKE_WAIT, sb_engine_wait_fn, wait)
NAMED(fake_list, FAKE_LIST, sb_container_list_fn, list)
NAMED(fake_events, FAKE_EVENTS, sb_engine_event_fn, event)

static int fake_pull(struct sb_engine *e, const char *ref, const char *auth,
		sb_pull_progress_fn progress, sb_engine_done_fn fn, void *ctx,
		struct sb_engine_call **ret, struct sb_err *err)
{
	call_t c = begin(e, FAKE_IMAGE_PULL, ref, ctx, ret);

	c->progress = progress;
	c->fn.done = fn;
	return 0;
}

static int fake_create(struct sb_engine *e, const struct sb_container_spec *spec,
		sb_engine_id_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	call_t c = begin(e, FAKE_CREATE, spec->name, ctx, ret);

	c->made = container_new(c->fake, spec->name, spec->image, spec->labels, spec->n_labels);
	c->fn.id = fn;
	return 0;
}

static int fake_signal(struct sb_engine *e, enum fake_op op, const char *id, int signal,
		sb_engine_done_fn fn, void *ctx, struct sb_engine_call **ret)
{
	call_t c = begin(e, op, id, ctx, ret);

	c->signal = signal;
	c->fn.done = fn;
	return 0;
}

static int fake_stop(struct sb_engine *e, const char *id, unsigned grace_s, sb_engine_done_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	return fake_signal(e, FAKE_STOP, id, SIGTERM, fn, ctx, ret);
}

static int fake_kill(struct sb_engine *e, const char *id, int signal, sb_engine_done_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	return fake_signal(e, FAKE_KILL, id, signal, fn, ctx, ret);
}

static int fake_remove(struct sb_engine *e, const char *id, bool force, sb_engine_done_fn fn,
		void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	call_t c = begin(e, FAKE_REMOVE, id, ctx, ret);

	c->flag = force;
	c->fn.done = fn;
	return 0;
}

static int fake_logs(struct sb_engine *e, const char *id, uint64_t since_ns, bool follow,
		sb_engine_log_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	call_t c = begin(e, FAKE_LOGS, id, ctx, ret);

	c->since_ns = since_ns;
	c->flag = follow;
	c->fn.log = fn;
	return 0;
}

static int fake_put(struct sb_engine *e, const char *id, const char *path, const void *tar,
		size_t len, sb_engine_done_fn fn, void *ctx, struct sb_engine_call **ret,
		struct sb_err *err)
{
	begin(e, FAKE_ARCHIVE_PUT, id, ctx, ret)->fn.done = fn;
	return 0;
}

static void fake_cancel(struct sb_engine *e, struct sb_engine_call *call)
{
	call_end(call);
}

static void fake_free(struct sb_engine *engine)
{
	struct fake_engine *fake = sb_container_of(engine, struct fake_engine, base);
	struct container *k;
	struct event *e;
	call_t c;

	while ((c = TAILQ_FIRST(&fake->calls)))
		call_end(c);
	while ((k = TAILQ_FIRST(&fake->containers))) {
		TAILQ_REMOVE(&fake->containers, k, entry);
		container_free(k);
	}
	while ((e = TAILQ_FIRST(&fake->events))) {
		TAILQ_REMOVE(&fake->events, e, entry);
		drop(e->ev.type);
		drop(e->ev.action);
		drop(e->ev.id);
		drop(e->ev.name);
		drop_kvs(e->kvs, e->ev.n_attributes);
		free(e);
	}
	for (size_t i = 0; i < IMAGES_MAX; i++)
		free(fake->images[i]);
	sd_event_unref(fake->loop);
	free(fake);
}

/* --- for tests --- */

void fake_engine_fail_next(
		struct fake_engine *fake, enum fake_op op, enum sb_code code, const char *text)
{
	sb_err_set(&fake->fail[op], code, "%s", text);
}

void fake_engine_delay(struct fake_engine *fake, enum fake_op op)
{
	fake->delayed[op] = true;
}

void fake_engine_release(struct fake_engine *fake, enum fake_op op)
{
	call_t c;

	fake->delayed[op] = false;
	TAILQ_FOREACH(c, &fake->calls, entry)
	{
		if (c->op == op)
			c->held = false;
	}
	kick(fake, op);
}

unsigned fake_engine_count(const struct fake_engine *fake, enum fake_op op)
{
	return fake->count[op];
}

void fake_engine_hang_up(struct fake_engine *fake, const struct sb_err *err)
{
	call_t c;

	TAILQ_FOREACH(c, &fake->calls, entry)
	{
		if ((c->op == FAKE_EVENTS || c->op == FAKE_LOGS) && c->keep)
			c->lost = *err;
	}
	kick(fake, FAKE_EVENTS);
	kick(fake, FAKE_LOGS);
}

const struct sb_container_info *fake_engine_find(struct fake_engine *fake, const char *id)
{
	struct container *c = find(fake, id);

	return c ? &c->info : NULL;
}

struct sb_engine *fake_engine_ops(struct fake_engine *fake)
{
	return &fake->base;
}

void fake_engine_new(sd_event *loop, struct fake_engine **ret)
{
	static const struct sb_engine_ops ops = {
		.free = fake_free,
		.ping = fake_ping,
		.version = fake_version,
		.info = fake_info,
		.df = fake_df,
		.image_inspect = fake_image_inspect,
		.image_pull = fake_pull,
		.create = fake_create,
		.start = fake_start,
		.inspect = fake_inspect,
		.stop = fake_stop,
		.kill = fake_kill,
		.wait = fake_wait,
		.remove = fake_remove,
		.list = fake_list,
		.logs = fake_logs,
		.events = fake_events,
		.archive_put = fake_put,
		.cancel = fake_cancel,
	};
	struct fake_engine *fake = must(calloc(1, sizeof(*fake)));

	fake->base.ops = &ops;
	fake->loop = sd_event_ref(loop);
	TAILQ_INIT(&fake->containers);
	TAILQ_INIT(&fake->events);
	TAILQ_INIT(&fake->calls);
	*ret = fake;
}
