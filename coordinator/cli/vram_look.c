/* What a model's small files say: from the cache of the hub's own tools when they are there, else
 * from the hub, which is given a few seconds. */
#include <stdlib.h>
#include <string.h>

#include "vram_text.h"

static void warn(void *ctx, const char *text)
{
	cli_warn(ctx, "%s", text);
}

static const char *from_environment(const char *name)
{
	return getenv(name);
}

/* "org/name:QUANT" -> "org/name" */
static char *repository(const char *model)
{
	return strndup(model, strcspn(model, ":"));
}

static int look_here(struct cli *cli, const char *model, const char *revision,
		struct sb_hub_model *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *cache = NULL, *snapshot = NULL;
	int rc = sb_hub_cache(from_environment, &cache, err);

	if (!rc)
		rc = sb_hub_snapshot(cache, model, revision, &snapshot, err);
	if (rc < 0 || !snapshot)
		return rc;
	return sb_hub_model_read(snapshot, warn, cli, ret, err);
}

/* A download that is whole has both; weights of which nothing is known are worth a question. */
static bool is_enough(const struct sb_hub_model *m)
{
	return (m->config || m->gguf) && (m->n_files || m->index);
}

static int ask_hub(struct cli *cli, const char *model, const char *revision, bool offline,
		struct sb_hub_model *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_hub_remote_done) struct sb_hub_remote remote = { 0 };
	struct sb_hub_model m = { 0 };
	int rc = sb_hub_remote_read(from_environment, &remote, err);

	if (rc < 0)
		return rc;
	remote.offline = remote.offline || offline;
	remote.stop = interrupted;
	rc = sb_hub_fetch(&remote, model, revision, warn, cli, &m, err);
	if (rc < 0)
		return rc;
	sb_hub_model_done(ret);
	*ret = m;
	return 0;
}

int vram_look(struct cli *cli, const char *model, const char *revision, enum vram_look how,
		struct sb_hub_model *ret, struct sb_err *why)
{
	SB_CLEANUP(sb_freep) char *name = repository(model);
	int rc = name ? look_here(cli, name, revision, ret, why) : sb_err_nomem(why);

	if (rc == -SB_E_NOMEM || (rc == 0 && is_enough(ret)))
		return rc;
	if (rc != -SB_E_INVALID) /* what is no name of the hub needs no question */
		rc = ask_hub(cli, name, revision, how == VRAM_OFFLINE, ret, why);
	return rc == -SB_E_CANCELLED || rc == -SB_E_NOMEM ? rc : 0;
}
