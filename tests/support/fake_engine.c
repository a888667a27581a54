/* fake_engine.c - what the fake keeps, and what tests do to it. */
#include <stdio.h>
#include <string.h>

#include "fake_internal.h"

void *fake_must(void *p)
{
	if (!p)
		abort();
	return p;
}

char *fake_copy(const char *s)
{
	return fake_must(strdup(s ? s : ""));
}

void fake_drop(const char *s)
{
	free((char *)s);
}

static size_t copy_kvs(struct sb_kv *to, size_t at, const struct sb_kv *from, size_t n)
{
	for (size_t i = 0; i < n && at < KVS_MAX; i++, at++)
		to[at] = (struct sb_kv){ fake_copy(from[i].key), fake_copy(from[i].value) };
	return at;
}

void fake_drop_kvs(struct sb_kv *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fake_drop(list[i].key);
		fake_drop(list[i].value);
	}
}

bool fake_has_label(const struct sb_kv *list, size_t n, const char *label)
{
	size_t key = strcspn(label, "=");

	for (size_t i = 0; i < n; i++)
		if (strlen(list[i].key) == key && !strncmp(list[i].key, label, key) &&
				(!label[key] || !strcmp(list[i].value, label + key + 1)))
			return true;
	return !*label;
}

/* --- containers --- */

struct container *fake_find(struct fake_engine *fake, const char *id)
{
	struct container *c;

	TAILQ_FOREACH(c, &fake->containers, entry)
	{
		if (!strcmp(c->info.id, id) || !strcmp(c->info.name, id))
			return c;
	}
	return NULL;
}

struct container *fake_container_new(struct fake_engine *fake, const char *name, const char *image,
		const struct sb_kv *labels, size_t n)
{
	struct container *c = fake_must(calloc(1, sizeof(*c)));
	char id[32];

	snprintf(id, sizeof(id), "c0ffee%06u", ++fake->made);
	c->info.id = fake_copy(id);
	c->info.name = fake_copy(sb_empty(name) ? id : name);
	c->info.image = fake_copy(image);
	c->info.error = "";
	c->info.labels = c->labels;
	c->info.n_labels = copy_kvs(c->labels, 0, labels, n);
	TAILQ_INIT(&c->lines);
	return c;
}

void fake_container_free(struct container *c)
{
	struct line *line;

	if (!c)
		return;
	while ((line = TAILQ_FIRST(&c->lines))) {
		TAILQ_REMOVE(&c->lines, line, entry);
		free(line);
	}
	fake_drop(c->info.id);
	fake_drop(c->info.name);
	fake_drop(c->info.image);
	fake_drop_kvs(c->labels, c->info.n_labels);
	free(c);
}

void fake_kick(struct fake_engine *fake, enum fake_op op)
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
	struct event *e = fake_must(calloc(1, sizeof(*e)));

	e->ev = *event;
	e->ev.type = fake_copy(event->type);
	e->ev.action = fake_copy(event->action);
	e->ev.id = fake_copy(event->id);
	e->ev.name = fake_copy(event->name);
	e->ev.attributes = e->kvs;
	e->ev.n_attributes = copy_kvs(e->kvs, 0, event->attributes, event->n_attributes);
	TAILQ_INSERT_TAIL(&fake->events, e, entry);
	fake_kick(fake, FAKE_EVENTS);
}

void fake_tell(struct fake_engine *fake, const struct container *c, const char *action)
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
	struct container *c = fake_must(fake_find(fake, id));
	struct sb_engine_call *call;

	if (c->info.state != SB_CONTAINER_RUNNING)
		return;
	c->info.state = SB_CONTAINER_EXITED;
	c->info.pid = 0;
	c->info.exit_code = exit_code;
	c->info.finished_unix_ms = sb_now_unix_ms();
	fake_tell(fake, c, "die");
	TAILQ_FOREACH(call, &fake->calls, entry)
	{
		if (call->op != FAKE_WAIT || !call->keep || fake_find(fake, call->id) != c)
			continue;
		call->exited = true;
		call->exit_code = exit_code;
	}
	fake_kick(fake, FAKE_WAIT);
	fake_kick(fake, FAKE_LOGS);
}

void fake_run(struct fake_engine *fake, struct container *c)
{
	c->info.state = SB_CONTAINER_RUNNING;
	c->info.pid = 1000 + (int)fake->made;
	c->info.started_unix_ms = sb_now_unix_ms();
	fake_tell(fake, c, "start");
}

void fake_engine_foreign(struct fake_engine *fake, const char *name, const char *image)
{
	struct container *c = fake_container_new(fake, name, image, NULL, 0);

	TAILQ_INSERT_TAIL(&fake->containers, c, entry);
	fake_run(fake, c);
}

void fake_engine_log(struct fake_engine *fake, const char *id, int stream, uint64_t unix_ns,
		const char *text)
{
	struct container *c = fake_must(fake_find(fake, id));
	struct line *line = fake_must(calloc(1, sizeof(*line)));

	line->log = (struct sb_engine_log){ stream, unix_ns, line->text, 0 };
	snprintf(line->text, sizeof(line->text), "%s", text);
	line->log.len = strlen(line->text);
	TAILQ_INSERT_TAIL(&c->lines, line, entry);
	fake_kick(fake, FAKE_LOGS);
}

char **fake_image_slot(struct fake_engine *fake, const char *ref)
{
	for (size_t i = 0; i < IMAGES_MAX; i++)
		if (fake->images[i] && !strcmp(fake->images[i], ref))
			return &fake->images[i];
	return NULL;
}

void fake_engine_image(struct fake_engine *fake, const char *ref, bool present)
{
	char **slot = fake_image_slot(fake, ref);

	if (slot && !present) {
		free(*slot);
		*slot = NULL;
	}
	for (size_t i = 0; present && !slot && i < IMAGES_MAX; i++)
		if (!fake->images[i])
			*(slot = &fake->images[i]) = fake_copy(ref);
}

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
	struct sb_engine_call *c;

	fake->delayed[op] = false;
	TAILQ_FOREACH(c, &fake->calls, entry)
	{
		if (c->op == op)
			c->held = false;
	}
	fake_kick(fake, op);
}

unsigned fake_engine_count(const struct fake_engine *fake, enum fake_op op)
{
	return fake->count[op];
}

void fake_engine_hang_up(struct fake_engine *fake, const struct sb_err *err)
{
	struct sb_engine_call *c;

	TAILQ_FOREACH(c, &fake->calls, entry)
	{
		if ((c->op == FAKE_EVENTS || c->op == FAKE_LOGS) && c->keep)
			c->lost = *err;
	}
	fake_kick(fake, FAKE_EVENTS);
	fake_kick(fake, FAKE_LOGS);
}

const struct sb_container_info *fake_engine_find(struct fake_engine *fake, const char *id)
{
	struct container *c = fake_find(fake, id);

	return c ? &c->info : NULL;
}

struct sb_engine *fake_engine_ops(struct fake_engine *fake)
{
	return &fake->base;
}
