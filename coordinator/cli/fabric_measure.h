/* fabric_measure.h - paths between nodes, tried and timed by the agents at their ends. */
#ifndef SB_CLI_FABRIC_MEASURE_H
#define SB_CLI_FABRIC_MEASURE_H

#include "fabric_nodes.h"

#define FABRIC_STREAMS 4u /* one alone does not fill a path */

enum fabric_tried {
	FABRIC_UNKNOWN, /* an agent did not say */
	FABRIC_FAILED,
	FABRIC_REACHED,
};

/* One way of one node to another. */
struct fabric_path {
	unsigned from, to;
	unsigned path; /* 1 or 2; 0 = management */
	char source[64], address[64];
	const char *interface; /* of the sender; NULL = not known */
	uint32_t mtu;          /* of it; 0 = not known */
	enum fabric_tried tried;
	bool has_packet, packet_passed; /* one of the whole MTU */
	char error[160];                /* why not FABRIC_REACHED */
	double gbps;                    /* 0 = not timed */
	uint32_t rtt_us, retransmits;
};
struct fabric_paths {
	struct fabric_path *items;
	size_t n;
};
void fabric_paths_done(struct fabric_paths *paths);

/** Every way of every node to every other: by management, and by each network that they share. */
int fabric_paths_list(const struct fabric_view *view, struct fabric_paths *ret, struct sb_err *err);
/** One more way, over @interface of @from. Ways are tried in turns, so they are added in such an
 * order that @from ascends within a turn, and each node calls one other. */
int fabric_paths_add(struct fabric_paths *paths, unsigned from, unsigned to, const char *source,
		const char *address, const char *interface, uint32_t mtu, struct sb_err *err);
/** Try all of them: connect, and send a packet of the MTU. */
int fabric_paths_try(struct cli *cli, const struct fabric_view *view, struct fabric_paths *paths,
		struct sb_err *err);
/** Time those that were reached, one after the other, @ms each: of each node to the next one that
 * it has a way to, and with two nodes both directions. */
int fabric_paths_time(struct cli *cli, const struct fabric_view *view, struct fabric_paths *paths,
		unsigned ms, struct sb_err *err);

/* What a measurement means; the model's findings, only later. */
struct fabric_verdict {
	enum sb_fabric_severity severity;
	const char *id, *cause, *fix;
	char text[480];
};
/** The @i-th thing to say of @path; false when there is none (more). */
bool fabric_path_verdict(const struct fabric_view *view, const struct fabric_path *path, size_t i,
		struct fabric_verdict *ret);

#endif
