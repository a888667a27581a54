/* fabric.c - the network of this node, put together from its sources. */
#include <stdio.h>

#include "links_parts.h"
#include "telemetry_parts.h"

struct fabric {
	struct links *links; /* NULL where there is no rtnetlink */
	char error[96];      /* and why */
	Sparkbus__FabricState state;
	Sparkbus__Sample links_sample;
};

int fabric_new(const struct sb_telemetry_env *env, struct fabric **ret, struct sb_err *err)
{
	struct fabric *f = calloc(1, sizeof(*f));
	struct sb_err why = SB_ERR_INIT;

	if (!f)
		return sb_err_nomem(err);
	sparkbus__fabric_state__init(&f->state);
	sparkbus__sample__init(&f->links_sample);
	f->links_sample.source = (char *)"rtnetlink";
	f->state.links_sample = &f->links_sample;
	if (links_new(env->loop, env->say, env->ctx, &f->links, &why) < 0)
		snprintf(f->error, sizeof(f->error), "%.95s", why.text);
	*ret = f;
	return 0;
}

void fabric_free(struct fabric *f)
{
	if (!f)
		return;
	links_free(f->links);
	free(f);
}

void fabric_tick(struct fabric *f)
{
	if (f->links)
		links_tick(f->links);
}

Sparkbus__FabricState *fabric_get(struct fabric *f)
{
	if (f->links)
		links_model_view(links_get(f->links), &f->state);
	f->links_sample.error = f->links ? (char *)links_error(f->links) : f->error;
	return &f->state;
}
