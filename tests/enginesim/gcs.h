/* gcs.h - the head of a Ray cluster: who is in, and which GPUs are taken
 *
 * Lines of text over TCP; a connection is a member for as long as it lasts:
 *   node -> head   enginesim-ray node HEX IP GPUS     answered by "ok"
 *   job  -> head   enginesim-ray job GPUS             "ok NODES" or "refuse TOTAL"; later "down
 * HEX" any  -> head   enginesim-ray status               the text of `ray status`, then the end */
#ifndef ES_GCS_H
#define ES_GCS_H

#include <stdbool.h>

#include "es.h"

#define ES_RAY_HEX 56 /* digits of a node's id */

/** struct es_ray_node - what a node says of itself */
struct es_ray_node {
	char hex[ES_RAY_HEX + 1];
	char ip[64];
	int gpus;
};

/** es_gcs_listen() - Return: a listening socket, or -1 with errno. */
int es_gcs_listen(int port);

/** es_gcs_serve() - be the head; @self is its own node */
void es_gcs_serve(int fd, const struct es_ray_node *self) ES_NORETURN;

/** es_gcs_dial() - one attempt. Return: a socket, or -1. */
int es_gcs_dial(const char *address);

/** es_gcs_line() - one line without its end; -1 at the end of the connection or of its patience */
int es_gcs_line(int fd, char *ret, int cap);

#endif
