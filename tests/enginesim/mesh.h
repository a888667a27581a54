/* mesh.h - ranks that meet over TCP and notice each other's death
 *
 * A star: rank 0 listens at the given address, the others dial it. A rank says who it is, rank 0
 * checks that all were told the same, and when everyone is there it says "go". The connections stay
 * open for as long as the engine lives. */
#ifndef ES_MESH_H
#define ES_MESH_H

#include <stdbool.h>

#define ES_MESH_MAX 256 /* ranks of one group */

/** struct es_mesh - one group; filled in by the caller up to the blank line */
struct es_mesh {
	const char *group; /* "world" or "dp": no spaces; ranks of different groups refuse each
			      other */
	const char *model; /* compared between ranks; no spaces */
	const char *addr;  /* of rank 0 */
	int port;
	int size;       /* slots that must be filled before anyone goes on */
	int rank;       /* first slot of this process */
	int count;      /* slots of this process */
	double timeout; /* seconds until a lonely rank gives up */

	int fds[ES_MESH_MAX]; /* rank 0: by first slot, -1 where none; others: fds[0] leads to rank
				 0 */
	int counts[ES_MESH_MAX];
};

/** es_mesh_join() - meet the others; a failure ends the process with status 1 and torch's words */
void es_mesh_join(struct es_mesh *m);

/** es_mesh_watch() - start a thread that ends the process when a peer goes */
void es_mesh_watch(struct es_mesh *m);

#endif
