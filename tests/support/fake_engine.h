/* fake_engine.h - a container engine that lives in the test's process.
 *
 * It keeps images and containers in memory and answers through the loop, one callback per turn
 * and never from within the call that asked, as the real client does. What a test may bend:
 * an operation fails (once), an operation is held back until released, containers end, logs and
 * events appear. Every call is counted. Events of the containers' life (create, start, die,
 * destroy) come by themselves, as the real engine sends them.
 * Unlike the real client, it must not be freed from within a callback. */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H

#include "sb_engine.h"

enum fake_op {
	FAKE_PING,
	FAKE_VERSION,
	FAKE_INFO,
	FAKE_DF,
	FAKE_IMAGE_INSPECT,
	FAKE_IMAGE_PULL,
	FAKE_CREATE,
	FAKE_START,
	FAKE_INSPECT,
	FAKE_STOP,
	FAKE_KILL,
	FAKE_WAIT,
	FAKE_REMOVE,
	FAKE_LIST,
	FAKE_LOGS,
	FAKE_EVENTS,
	FAKE_ARCHIVE_PUT,
	FAKE_EXEC,
	FAKE_OP_COUNT_,
};

struct fake_engine;

/** The caller owns *ret: sb_engine_free(fake_engine_ops(*ret)). Aborts when out of memory, as
 * everything here does: it serves tests only. */
void fake_engine_new(sd_event *loop, struct fake_engine **ret);
/** What the code under test gets. */
struct sb_engine *fake_engine_ops(struct fake_engine *fake);

/** An image is on the node, or not. A pull that succeeds puts it there. */
void fake_engine_image(struct fake_engine *fake, const char *ref, bool present);
/** The entrypoint (one word, not copied) of all images; NULL = none, as at first. */
void fake_engine_image_entrypoint(struct fake_engine *fake, const char *word);
/** The next @op ends with this error, and does nothing else. */
void fake_engine_fail_next(
		struct fake_engine *fake, enum fake_op op, enum sb_code code, const char *text);
/** Calls of @op are held back: neither act nor answer. */
void fake_engine_delay(struct fake_engine *fake, enum fake_op op);
/** Let go what is held back of @op, and hold nothing any more. */
void fake_engine_release(struct fake_engine *fake, enum fake_op op);
/** How often @op was accepted. */
unsigned fake_engine_count(const struct fake_engine *fake, enum fake_op op);

/** A container that somebody else made; it is running. */
void fake_engine_foreign(struct fake_engine *fake, const char *name, const char *image);
/** The main process of a running container (id or name) ends: event "die", waits come back,
 * followed logs end. */
void fake_engine_exit(struct fake_engine *fake, const char *id, int exit_code);
/** One more line of the container's log. Followers get it. */
void fake_engine_log(struct fake_engine *fake, const char *id, int stream, uint64_t unix_ns,
		const char *text);
/** Deliver @event to every subscriber. */
void fake_engine_event(struct fake_engine *fake, const struct sb_engine_event *event);
/** Subscribers lose their connection (@err) and get it back (resync), followed logs end with
 * @err, and nothing else changes. */
void fake_engine_hang_up(struct fake_engine *fake, const struct sb_err *err);
/** The archive that was put last into any container; NULL when there was none. Borrowed until the
 * next one. */
const void *fake_engine_archive(const struct fake_engine *fake, size_t *ret_len);
/** What the next commands in containers say (one line) and end with. */
void fake_engine_exec(struct fake_engine *fake, const char *line, int exit_code);
/** The words (joined with a blank) of the last command in a container, its user before them. */
const char *fake_engine_exec_argv(const struct fake_engine *fake);
/** The user that the last container was made with; "" = the image's. */
const char *fake_engine_user(const struct fake_engine *fake);
/** The entrypoint that the last container was made with; NULL = the image's. */
const char *fake_engine_entrypoint(const struct fake_engine *fake);
/** The words (joined with a blank) of the last container. */
const char *fake_engine_argv(const struct fake_engine *fake);
/** The container with this id or name, NULL when there is none. Borrowed until the loop runs. */
const struct sb_container_info *fake_engine_find(struct fake_engine *fake, const char *id);

#endif
