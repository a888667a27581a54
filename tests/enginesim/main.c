/* main.c - choose the engine to pose as */
#include "es.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct es_personality *const personalities[] = {
	&es_vllm,
	&es_sglang,
	&es_python3,
	&es_python,
	&es_llama_server,
	&es_rpc_server,
	&es_ray,
	&es_spark,
	&es_trtllm_serve,
	&es_trtllm_launch,
	&es_mpirun,
	&es_orted,
};

static const struct es_personality *find(const char *name)
{
	for (size_t i = 0; i < ES_COUNTOF(personalities); i++)
		if (!strcmp(personalities[i]->name, name))
			return personalities[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct es_personality *p = argc > 0 ? find(basename(argv[0])) : NULL;

	signal(SIGPIPE, SIG_IGN);
	if (!p && argc > 1 && (p = find(basename(argv[1])))) {
		argc--;
		argv++;
	}
	if (p)
		return p->run(argc, argv);
	fprintf(stderr,
			"usage: enginesim ENGINE [ARGUMENT...], or a link to it named ENGINE; one "
			"of:");
	for (size_t i = 0; i < ES_COUNTOF(personalities); i++)
		fprintf(stderr, " %s", personalities[i]->name);
	fputc('\n', stderr);
	return 2;
}
