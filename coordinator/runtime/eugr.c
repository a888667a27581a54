/* eugr.c - vLLM over Ray in an image that its owners build themselves, from spark-vllm-docker. */
#include <string.h>

#include "internal.h"

#define LOCAL_IMAGE "vllm-node" /* what spark-vllm-docker calls its image */

/* An image without a registry or a user in its name was made on the nodes. */
static void note_image(const struct sb_workload *w, struct sb_diags *diags)
{
	const struct sb_yaml_node *place = sb_workload_key(w, "container");
	const char *image = sb_workload_image(w);

	image += strspn(image, " \t\r\n");
	image = *image ? image : LOCAL_IMAGE;
	if (!strchr(image, '/'))
		sb_diag_add(diags, SB_DIAG_NOTE, sb_yaml_line(place), sb_yaml_col(place),
				"image %s is not built by sparkbus: every node must have it "
				"already",
				image);
}

static int serve(const struct sb_launch *launch, struct sb_strbuf *out, struct sb_diags *diags,
		struct sb_err *err)
{
	const struct sb_workload *w = launch->workload;

	if (sb_empty(sb_yaml_str(sb_workload_key(w, "command"))))
		sb_diag_add(diags, SB_DIAG_WARNING, 0, 0,
				"[eugr-vllm] command template is recommended for eugr recipes");
	note_image(w, diags);
	return sb_vllm_ray_serve(launch, out, diags, err);
}

const struct sb_runtime sb_runtime_eugr_vllm = {
	.name = "eugr-vllm",
	.default_image = LOCAL_IMAGE,
	.family = "vllm",
	.naming = SB_NAMING_ROLE,
	.env = sb_vllm_env,
	.cluster_env = sb_vllm_ray_env,
	.api_key_env = "VLLM_API_KEY",
	.required = sb_vllm_ray_required,
	.serve = serve,
	.rank = sb_vllm_ray_rank,
	.ready = sb_vllm_ready,
};
