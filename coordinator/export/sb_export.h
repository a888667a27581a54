/* sb_export.h - one rank of a plan as a file for other tools: a Docker Compose file, a systemd
 * unit.
 *
 * Both run the same container: words, environment, mounts, devices, limits. They know nothing of
 * the other ranks: nobody starts them together, watches them, or restarts them as one. Secrets are
 * never in the file, but in a second one beside it, which is for its owner alone. Pure. */
#ifndef SB_EXPORT_H
#define SB_EXPORT_H

#include "plan.pb-c.h"
#include "sb_err.h"
#include "sb_strbuf.h"

/* What only the node knows. */
struct sb_export_place {
	const char *hf_cache; /* its model cache, an absolute path */
	const char *user;     /* "uid:gid" of the cache's owner; "" = root, as the image has it */
	const char *env_file; /* systemd: path of the file with the secrets */
};

/** The rank @rank of @plan as a compose file. @secrets gets the lines of its .env file; it stays
 * empty when there are none. Return: 0; -SB_E_UNSUPPORTED for a plan that no such file can hold
 * (hooks), with what to do; -SB_E_INVALID; -SB_E_NOMEM. */
int sb_export_compose(const Sparkbus__LaunchPlan *plan, size_t rank,
		const struct sb_export_place *place, struct sb_strbuf *out,
		struct sb_strbuf *secrets, struct sb_err *err);

/** The same as a unit for the system's manager; @secrets gets the lines of its EnvironmentFile.
 * Files that the container is to find are not supported either. */
int sb_export_systemd(const Sparkbus__LaunchPlan *plan, size_t rank,
		const struct sb_export_place *place, struct sb_strbuf *out,
		struct sb_strbuf *secrets, struct sb_err *err);

#endif
