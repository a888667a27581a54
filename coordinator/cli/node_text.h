/* node_text.h - the lines of `node show`. */
#ifndef SB_NODE_TEXT_H
#define SB_NODE_TEXT_H

#include "cli.h"

/** A line: what it is, and its value, made fit for a terminal. */
void node_field(const char *name, const char *value);
/** Append ", " and the formatted words to @out, if they are @known. */
void node_part(struct sb_strbuf *out, bool known, const char *fmt, ...) SB_PRINTF(3, 4);
/** Links, RDMA devices and temperatures. */
void node_print_network(const Sparkbus__FabricState *fabric);
void node_print_sensors(const Sparkbus__SensorState *sensors);

#endif
