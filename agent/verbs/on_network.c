/* on_network.c - addresses of the fabric, with a way back. */
#include <string.h>

#include "internal.h"

/* A link that bounces takes the RDMA connections of a job with it. */
static int check_idle(struct sb_agent *me, struct sb_err *err)
{
	const Sparkbus__JobStatus *job = NULL;

	if (!sb_jobs_list(me->jobs, true, &job, 1))
		return 0;
	return sb_err_hint(err, sb_err_set(err, SB_E_BUSY, "job %s runs here", job->job),
			"stop it first: its connections would break");
}

HANDLER(on_set_network)
{
	const Sparkbus__SetNetworkRequest *request = (const Sparkbus__SetNetworkRequest *)body;
	struct sb_agent *me = agent;
	const Sparkbus__FabricState *fabric = sb_telemetry_get(me->telemetry)->fabric;
	Sparkbus__SetNetworkReply *reply = NULL;
	int rc = request->dry_run ? 0 : check_idle(me, err);

	if (rc == 0)
		rc = sb_netconf_set(me->netconf, request,
				fabric ? fabric->management_interface : "", &reply, err);
	if (rc < 0)
		return rc;
	sb_call_reply(call, &reply->base);
	sparkbus__set_network_reply__free_unpacked(reply, NULL);
	return 0;
}

HANDLER(on_confirm_network)
{
	const Sparkbus__ConfirmNetworkRequest *request =
			(const Sparkbus__ConfirmNetworkRequest *)body;
	Sparkbus__ConfirmNetworkReply *reply = NULL;
	int rc = sb_netconf_confirm(
			((struct sb_agent *)agent)->netconf, request->roll_back, &reply, err);

	if (rc < 0)
		return rc;
	sb_call_reply(call, &reply->base);
	sparkbus__confirm_network_reply__free_unpacked(reply, NULL);
	return 0;
}
