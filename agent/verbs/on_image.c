/* on_image.c - pull an image. Whoever asks for one that is on its way waits for that pull. */
#include <inttypes.h>
#include <string.h>

#include "internal.h"

#define LAYERS_MAX      512
#define CALLERS_MAX     64
#define PROGRESS_GAP_MS 500

struct layer {
	char id[24];
	uint64_t current, total;
	bool done;
};

struct pull {
	struct pull *next;
	struct sb_pulls *pulls;
	char *image;
	char *auth; /* for the registry; NULL = anonymous. Only in memory, only during the pull */
	struct sb_engine_call *op;
	struct sb_call *callers[CALLERS_MAX];
	size_t n_callers;
	struct layer layers[LAYERS_MAX];
	size_t n_layers;
	uint64_t told_boot_ms;
	bool present_before;
	bool checked; /* the pull is over, its image is being read back */
};

struct sb_pulls {
	struct sb_agent *agent;
	struct pull *list;
};

static struct sb_engine *engine(const struct pull *pull)
{
	return pull->pulls->agent->engine;
}

static void pull_free(struct pull *pull)
{
	for (struct pull **at = &pull->pulls->list; *at; at = &(*at)->next)
		if (*at == pull) {
			*at = pull->next;
			break;
		}
	if (pull->op)
		engine(pull)->ops->cancel(engine(pull), pull->op);
	free(pull->image);
	if (pull->auth)
		explicit_bzero(pull->auth, strlen(pull->auth));
	free(pull->auth);
	free(pull);
}

static void finish(struct pull *pull, const char *image_id, const struct sb_err *err)
{
	Sparkbus__PullImageReply reply = SPARKBUS__PULL_IMAGE_REPLY__INIT;

	sb_events_add(pull->pulls->agent->events, "image.pull", NULL, -1, NULL, "%s: %s",
			pull->image, err ? err->text : "present");
	reply.image_id = (char *)image_id;
	reply.already_present = pull->present_before;
	for (size_t i = 0; i < pull->n_callers; i++) {
		if (err)
			sb_call_fail(pull->callers[i], err);
		else
			sb_call_reply(pull->callers[i], &reply.base);
	}
	pull_free(pull);
}

static struct layer *layer_of(struct pull *pull, const char *id)
{
	for (size_t i = 0; i < pull->n_layers; i++)
		if (strncmp(pull->layers[i].id, id, sizeof(pull->layers[i].id) - 1) == 0)
			return &pull->layers[i];
	if (pull->n_layers == LAYERS_MAX)
		return NULL;
	strncpy(pull->layers[pull->n_layers].id, id, sizeof(pull->layers[0].id) - 1);
	return &pull->layers[pull->n_layers++];
}

static void tell(struct pull *pull)
{
	uint64_t now = sb_now_boot_ms(), current = 0, total = 0;
	size_t done = 0;

	if (pull->told_boot_ms && now < pull->told_boot_ms + PROGRESS_GAP_MS)
		return;
	pull->told_boot_ms = now;
	for (size_t i = 0; i < pull->n_layers; i++) {
		current += pull->layers[i].current;
		total += pull->layers[i].total;
		done += pull->layers[i].done;
	}
	sb_events_add(pull->pulls->agent->events, "image.pull", NULL, -1, NULL,
			"%s: %zu of %zu layers, %" PRIu64 " of %" PRIu64 " MiB", pull->image, done,
			pull->n_layers, current >> 20, total >> 20);
}

static void on_progress(
		void *ctx, const char *id, const char *status, uint64_t current, uint64_t total)
{
	struct pull *pull = ctx;
	struct layer *layer = sb_empty(id) ? NULL : layer_of(pull, id);

	if (!layer || !status)
		return;
	if (total && strcmp(status, "Downloading") == 0) {
		layer->current = current;
		layer->total = total;
	} else if (strcmp(status, "Pull complete") == 0 || strcmp(status, "Already exists") == 0) {
		layer->current = layer->total;
		layer->done = true;
	}
	tell(pull);
}

static void on_pulled(void *ctx, const struct sb_err *err);

/* Before the pull: is it there already? After it: is it really there? */
static void on_image(void *ctx, const struct sb_image_info *info, const struct sb_err *err)
{
	struct pull *pull = ctx;
	struct sb_err own = SB_ERR_INIT;

	pull->op = NULL;
	if (info) {
		pull->present_before = !pull->checked;
		finish(pull, info->id, NULL);
	} else if (pull->checked || err->code != SB_E_NOT_FOUND) {
		finish(pull, NULL, err);
	} else if (engine(pull)->ops->image_pull(engine(pull), pull->image, pull->auth, on_progress,
				   on_pulled, pull, &pull->op, &own) < 0) {
		finish(pull, NULL, &own);
	}
}

static int inspect(struct pull *pull, struct sb_err *err)
{
	return engine(pull)->ops->image_inspect(
			engine(pull), pull->image, on_image, pull, &pull->op, err);
}

static void on_pulled(void *ctx, const struct sb_err *err)
{
	struct pull *pull = ctx;
	struct sb_err own = SB_ERR_INIT;

	pull->op = NULL;
	pull->checked = true;
	if (err)
		finish(pull, NULL, err);
	else if (inspect(pull, &own) < 0)
		finish(pull, NULL, &own);
}

HANDLER(on_pull_image)
{
	const Sparkbus__PullImageRequest *request = (const Sparkbus__PullImageRequest *)body;
	struct sb_pulls *pulls = ((struct sb_agent *)agent)->pulls;
	struct pull *pull;
	int rc;

	if (sb_empty(request->image))
		return sb_err_set(err, SB_E_INVALID, "no image is named");
	for (pull = pulls->list; pull; pull = pull->next)
		if (strcmp(pull->image, request->image) == 0 &&
				strcmp(pull->auth ?: "", request->registry_auth) == 0)
			break; /* who may see the image is the registry's to say, for each of them
				*/
	if (pull && pull->n_callers == CALLERS_MAX)
		return sb_err_set(err, SB_E_BUSY, "%zu callers wait for %s already",
				pull->n_callers, pull->image);
	if (pull) {
		pull->callers[pull->n_callers++] = call;
		return 0;
	}
	pull = calloc(1, sizeof(*pull));
	if (!pull)
		return sb_err_nomem(err);
	pull->pulls = pulls;
	pull->next = pulls->list;
	pulls->list = pull;
	pull->image = strdup(request->image);
	pull->auth = sb_empty(request->registry_auth) ? NULL : strdup(request->registry_auth);
	rc = pull->image ? inspect(pull, err) : sb_err_nomem(err);
	if (rc < 0) {
		pull_free(pull);
		return rc;
	}
	pull->callers[pull->n_callers++] = call;
	return 0;
}

int sb_pulls_new(struct sb_agent *agent, struct sb_pulls **ret, struct sb_err *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return sb_err_nomem(err);
	(*ret)->agent = agent;
	return 0;
}

void sb_pulls_free(struct sb_pulls *pulls)
{
	if (!pulls)
		return;
	while (pulls->list)
		pull_free(pulls->list);
	free(pulls);
}
