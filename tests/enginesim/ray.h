/* ray.h - a Ray cluster as vLLM sees it */
#ifndef ES_RAY_H
#define ES_RAY_H

#include <stdbool.h>

/** es_ray_found() - whether this node knows a cluster: RAY_ADDRESS, or what `ray start` left */
bool es_ray_found(void);

/**
 * es_ray_take() - reserve GPUs of the cluster for the life of this process
 *
 * A failure ends the process with status 1, in the words of Ray or vLLM; so does, later, the end of
 * a node that has one of them, and of the head. Return: how many nodes they are on.
 */
int es_ray_take(int gpus);

#endif
