/* fake_ops.c - the operations. Every call has a turn: a deferred source on the loop. A turn makes
 * one step, which for most operations is the act and the answer; streams and waits keep their call
 * and get further turns by fake_kick(). */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fake_internal.h"

/* --- what an operation does in its turn; @err is the failure that a test asked for --- */

/* The call's container, or NULL with @err set to a failure in @own. */
static struct container *want(
		struct sb_engine_call *c, const struct sb_err **err, struct sb_err *own)
{
	struct container *found = *err ? NULL : fake_find(c->fake, c->id);

	if (!found && !*err) {
		sb_err_set(own, SB_E_NOT_FOUND, "no such container: %s", c->id);
		*err = own;
	}
	return found;
}

static void act_done(struct sb_engine_call *c, const struct sb_err *err)
{
	c->fn.done(c->ctx, err);
}

static void act_version(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_engine_version v = { "0.0-fake", "1.44", "linux", "arm64" };

	c->fn.version(c->ctx, err ? NULL : &v, err);
}

static void act_info(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_engine_info info = { .root_dir = "/nonexistent", .driver = "fake" };
	struct container *k;

	TAILQ_FOREACH(k, &c->fake->containers, entry)
	info.containers_running += k->info.state == SB_CONTAINER_RUNNING;
	c->fn.info(c->ctx, err ? NULL : &info, err);
}

static void act_df(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_engine_df df = { .images_bytes = 1 << 20 };

	c->fn.df(c->ctx, err ? NULL : &df, err);
}

static void act_image(struct sb_engine_call *c, const struct sb_err *err)
{
	static const char *const none[] = { NULL };
	const char *const entrypoint[] = { c->fake->image_entrypoint, NULL };
	struct sb_image_info info = { "sha256:fa4e", 1 << 20, "arm64", none, entrypoint };
	struct sb_err own = SB_ERR_INIT;

	if (!err && !fake_image_slot(c->fake, c->id)) {
		sb_err_set(&own, SB_E_NOT_FOUND, "no such image: %s", c->id);
		err = &own;
	}
	c->fn.image(c->ctx, err ? NULL : &info, err);
}

static void act_pull(struct sb_engine_call *c, const struct sb_err *err)
{
	if (!err)
		fake_engine_image(c->fake, c->id, true);
	if (!err && c->progress)
		c->progress(c->ctx, "1a7e4", "Downloading", 1 << 20, 1 << 20);
	if (!c->ended)
		c->fn.done(c->ctx, err);
}

static void act_create(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = c->made;

	if (!err && !fake_image_slot(c->fake, k->info.image)) {
		sb_err_set(&own, SB_E_NOT_FOUND, "no such image: %s", k->info.image);
		err = &own;
	} else if (!err && fake_find(c->fake, k->info.name)) {
		sb_err_set(&own, SB_E_BUSY, "the name %s is taken", k->info.name);
		err = &own;
	}
	if (!err) {
		c->made = NULL;
		TAILQ_INSERT_TAIL(&c->fake->containers, k, entry);
		fake_tell(c->fake, k, "create");
	}
	c->fn.id(c->ctx, err ? NULL : k->info.id, err);
}

static void act_start(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = want(c, &err, &own);

	if (k && k->info.state != SB_CONTAINER_RUNNING)
		fake_run(c->fake, k);
	c->fn.done(c->ctx, err);
}

/* Stop and kill. The container obeys SIGTERM at once. */
static void act_signal(struct sb_engine_call *c, const struct sb_err *err)
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

static void act_inspect(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = want(c, &err, &own);

	c->fn.container(c->ctx, k ? &k->info : NULL, err);
}

static void act_wait(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = c->exited ? NULL : want(c, &err, &own);

	c->keep = k && k->info.state == SB_CONTAINER_RUNNING;
	if (!c->keep)
		c->fn.wait(c->ctx, k ? k->info.exit_code : c->exit_code, err);
}

static void act_remove(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct container *k = err ? NULL : fake_find(c->fake, c->id);

	if (k && k->info.state == SB_CONTAINER_RUNNING && !c->flag) {
		sb_err_set(&own, SB_E_BUSY, "container %s is running", c->id);
		err = &own;
	} else if (k) {
		fake_engine_exit(c->fake, c->id, 137);
		fake_tell(c->fake, k, "destroy");
		TAILQ_REMOVE(&c->fake->containers, k, entry);
		fake_container_free(k);
	}
	c->fn.done(c->ctx, err);
}

static void act_put(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;

	want(c, &err, &own);
	c->fn.done(c->ctx, err);
}

static void act_exec(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_err own = SB_ERR_INIT;
	struct sb_engine_log line = {
		.stream = 1, .text = c->fake->exec_line, .len = strlen(c->fake->exec_line)
	};

	want(c, &err, &own);
	if (!err && line.len)
		c->fn.exec(c->ctx, &line, 0, NULL);
	if (!c->ended)
		c->fn.exec(c->ctx, NULL, err ? 0 : c->fake->exec_code, err);
}

static void act_list(struct sb_engine_call *c, const struct sb_err *err)
{
	struct sb_container_info list[64];
	struct container *k;
	size_t n = 0;

	TAILQ_FOREACH(k, &c->fake->containers, entry)
	{
		if (n < sb_countof(list) && fake_has_label(k->labels, k->info.n_labels, c->id))
			list[n++] = k->info;
	}
	c->fn.list(c->ctx, err ? NULL : list, err ? 0 : n, err);
}

static void act_logs(struct sb_engine_call *c, const struct sb_err *err)
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

static void act_events(struct sb_engine_call *c, const struct sb_err *err)
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
		if (fake_has_label(next->kvs, next->ev.n_attributes, c->id))
			c->fn.event(c->ctx, &next->ev, false, NULL);
	}
}

static void (*const acts[FAKE_OP_COUNT_])(struct sb_engine_call *, const struct sb_err *) = {
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
	[FAKE_EXEC] = act_exec,
};

/* --- calls --- */

static void call_free(struct sb_engine_call *c)
{
	sd_event_source_disable_unref(c->turn);
	fake_container_free(c->made);
	free(c->id);
	free(c);
}

static void call_end(struct sb_engine_call *c)
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
	struct sb_engine_call *c = arg;
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

static struct sb_engine_call *begin(struct sb_engine *engine, enum fake_op op, const char *id,
		void *ctx, struct sb_engine_call **ret)
{
	struct fake_engine *fake = sb_container_of(engine, struct fake_engine, base);
	struct sb_engine_call *c = fake_must(calloc(1, sizeof(*c)));

	c->fake = fake;
	c->op = op;
	c->id = fake_copy(id);
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
	struct sb_engine_call *c = begin(e, FAKE_IMAGE_PULL, ref, ctx, ret);

	c->progress = progress;
	c->fn.done = fn;
	return 0;
}

static int fake_create(struct sb_engine *e, const struct sb_container_spec *spec,
		sb_engine_id_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	struct sb_engine_call *c = begin(e, FAKE_CREATE, spec->name, ctx, ret);

	snprintf(c->fake->user, sizeof(c->fake->user), "%s", spec->user ? spec->user : "");
	c->fake->has_entrypoint = spec->set_entrypoint;
	snprintf(c->fake->entrypoint, sizeof(c->fake->entrypoint), "%s",
			spec->entrypoint ? spec->entrypoint : "");
	c->fake->argv[0] = '\0';
	for (size_t i = 0; i < spec->n_argv; i++) {
		size_t at = strlen(c->fake->argv);

		snprintf(c->fake->argv + at, sizeof(c->fake->argv) - at, "%s%s", i ? " " : "",
				spec->argv[i]);
	}
	c->made = fake_container_new(
			c->fake, spec->name, spec->image, spec->labels, spec->n_labels);
	c->fn.id = fn;
	return 0;
}

static int fake_signal(struct sb_engine *e, enum fake_op op, const char *id, int signal,
		sb_engine_done_fn fn, void *ctx, struct sb_engine_call **ret)
{
	struct sb_engine_call *c = begin(e, op, id, ctx, ret);

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
	struct sb_engine_call *c = begin(e, FAKE_REMOVE, id, ctx, ret);

	c->flag = force;
	c->fn.done = fn;
	return 0;
}

static int fake_logs(struct sb_engine *e, const char *id, uint64_t since_ns, bool follow,
		sb_engine_log_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	struct sb_engine_call *c = begin(e, FAKE_LOGS, id, ctx, ret);

	c->since_ns = since_ns;
	c->flag = follow;
	c->fn.log = fn;
	return 0;
}

static int fake_put(struct sb_engine *e, const char *id, const char *path, const void *tar,
		size_t len, sb_engine_done_fn fn, void *ctx, struct sb_engine_call **ret,
		struct sb_err *err)
{
	struct sb_engine_call *c = begin(e, FAKE_ARCHIVE_PUT, id, ctx, ret);

	c->fn.done = fn;
	free(c->fake->archive);
	c->fake->archive = fake_must(malloc(len + 1));
	memcpy(c->fake->archive, tar, len);
	c->fake->archive_len = len;
	return 0;
}

static int fake_exec(struct sb_engine *e, const char *id, const struct sb_exec_spec *spec,
		sb_engine_exec_fn fn, void *ctx, struct sb_engine_call **ret, struct sb_err *err)
{
	struct sb_engine_call *c = begin(e, FAKE_EXEC, id, ctx, ret);
	char *to = c->fake->exec_argv;

	c->fn.exec = fn;
	snprintf(to, sizeof(c->fake->exec_argv), "%s", spec->user ? spec->user : "");
	for (size_t i = 0; i < spec->n_argv; i++)
		snprintf(to + strlen(to), sizeof(c->fake->exec_argv) - strlen(to), " %s",
				spec->argv[i]);
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
	struct sb_engine_call *c;

	while ((c = TAILQ_FIRST(&fake->calls)))
		call_end(c);
	while ((k = TAILQ_FIRST(&fake->containers))) {
		TAILQ_REMOVE(&fake->containers, k, entry);
		fake_container_free(k);
	}
	while ((e = TAILQ_FIRST(&fake->events))) {
		TAILQ_REMOVE(&fake->events, e, entry);
		fake_drop(e->ev.type);
		fake_drop(e->ev.action);
		fake_drop(e->ev.id);
		fake_drop(e->ev.name);
		fake_drop_kvs(e->kvs, e->ev.n_attributes);
		free(e);
	}
	for (size_t i = 0; i < IMAGES_MAX; i++)
		free(fake->images[i]);
	free(fake->archive);
	sd_event_unref(fake->loop);
	free(fake);
}

const void *fake_engine_archive(const struct fake_engine *fake, size_t *ret_len)
{
	*ret_len = fake->archive_len;
	return fake->archive;
}

void fake_engine_exec(struct fake_engine *fake, const char *line, int exit_code)
{
	snprintf(fake->exec_line, sizeof(fake->exec_line), "%s", line);
	fake->exec_code = exit_code;
}

const char *fake_engine_exec_argv(const struct fake_engine *fake)
{
	return fake->exec_argv;
}

const char *fake_engine_user(const struct fake_engine *fake)
{
	return fake->user;
}

void fake_engine_image_entrypoint(struct fake_engine *fake, const char *word)
{
	fake->image_entrypoint = word;
}

const char *fake_engine_entrypoint(const struct fake_engine *fake)
{
	return fake->has_entrypoint ? fake->entrypoint : NULL;
}

const char *fake_engine_argv(const struct fake_engine *fake)
{
	return fake->argv;
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
		.exec = fake_exec,
		.cancel = fake_cancel,
	};
	struct fake_engine *fake = fake_must(calloc(1, sizeof(*fake)));

	fake->base.ops = &ops;
	fake->loop = sd_event_ref(loop);
	TAILQ_INIT(&fake->containers);
	TAILQ_INIT(&fake->events);
	TAILQ_INIT(&fake->calls);
	*ret = fake;
}
