/* fake_agent.h - the control door of a node, answered from knobs instead of from a node.
 *
 * It speaks the real protocol over the real transport, so that the command line is tested whole;
 * what it says is the test's. One thread, one request at a time, no waiting: a poll is answered
 * at once. The knobs are set before the start, but for those that are atomic. */
#ifndef FAKE_AGENT_H
#define FAKE_AGENT_H

#include <stdatomic.h>
#include <sys/types.h>

#include "sb_tls.h"
#include "sb_wire.h"

#define FAKE_TAGS 64

struct fake_line {
	uint64_t unix_ns;
	const char *text;
};

struct fake_agent {
	const char *name;
	/* What Prepare finds; PROBLEM_UNSPECIFIED = nothing. An image is there after a pull. */
	Sparkbus__ProblemKind problem;
	/* Where the job ends up: READY, FAILED, or STARTING for ever. */
	Sparkbus__JobState result;
	/* What StopJob tells. */
	Sparkbus__Outcome stop_outcome;
	bool stop_evidence_holds;
	const struct fake_line *lines;
	size_t n_lines;
	/* Interrupt this process when the job is first asked about after the commit. */
	atomic_int interrupt_pid;
	/* Requests per tag so far. */
	atomic_uint counts[FAKE_TAGS];
	/* The job that this node has a part in. */
	char job[64], recipe[256], nodes[2][64];
	char recipe_yaml[4096];
	size_t n_nodes;
	uint32_t rank;
	_Atomic Sparkbus__JobState state;
	bool pulled;
	/* What get_node tells of its links; NULL = nothing. Borrowed. */
	Sparkbus__FabricState *fabric;
	/* The same of its memory. */
	Sparkbus__MemoryState *memory;

	/* Its own. */
	void *door;
};

/** Listen on an ephemeral port of 127.0.0.1. Return: the port; ends the test when it cannot. */
uint16_t fake_agent_start(struct fake_agent *agent, const struct sb_tls_creds *creds);
/** Close the door: the node does not answer any more. */
void fake_agent_stop(struct fake_agent *agent);

#endif
