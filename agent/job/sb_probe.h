/* sb_probe.h - is the engine alive? An open port or a green /health is not life; a generated
 * token is. Asks /v1/models, then for one thing produced, again and again until both work, the
 * engine refuses for good, or time is up. */
#ifndef SB_PROBE_H
#define SB_PROBE_H

#include <systemd/sd-event.h>

#include "plan.pb-c.h"
#include "sb_err.h"

struct sb_probe;

/** The end: @err NULL = alive; SB_E_TIMEOUT: it serves and produces nothing; SB_E_UNAVAILABLE: it
 * does not even serve. Once, unless cancelled. */
typedef void (*sb_probe_fn)(void *ctx, const struct sb_err *err);
/** What the engine says meanwhile: "no answer yet on port 8000", "serves, generates nothing". */
typedef void (*sb_probe_progress_fn)(void *ctx, const char *text);

/** Probe as @how says (copied). The first try is made at once. */
int sb_probe_start(sd_event *loop, const Sparkbus__Readiness *how, sb_probe_progress_fn progress,
		sb_probe_fn done, void *ctx, struct sb_probe **ret, struct sb_err *err);
void sb_probe_cancel(struct sb_probe *probe);

struct sb_http;
/** The way to @how's engine: its host, else this machine, at its port. Does not connect. */
int sb_probe_open(sd_event *loop, const Sparkbus__Readiness *how, struct sb_http **ret,
		struct sb_err *err);

/* --- pure, for tests --- */

/** The target and the JSON body (heap) of the @attempt-th way to have @how's engine produce one
 * thing; NULL when there is no such way. Ways are tried in turn while the engine answers 404. */
const char *sb_probe_request(const Sparkbus__Readiness *how, unsigned attempt, char **ret_body);
/** Whether a 200 reply to that request shows something produced (not merely a valid answer). */
bool sb_probe_produced(
		const Sparkbus__Readiness *how, unsigned attempt, const char *body, size_t len);

#endif
