/* sb_netconf.h - addresses and MTU of this node's fabric interfaces, set so that a mistake undoes
 * itself.
 *
 * What is to be set is written into a file of our own, for the next boot, and given to the kernel
 * at once. Before that, what was there goes to disk. Unless someone who can still reach the node
 * confirms in time, it is put back: by a timer, and by the next start of the agent. The management
 * interface is never touched. */
#ifndef SB_NETCONF_H
#define SB_NETCONF_H

#include <systemd/sd-event.h>

#include "bus.pb-c.h"
#include "sb_err.h"

#define SB_NETCONF_INTERFACES_MAX 16u
#define SB_NETCONF_CONFIRM_MIN_MS 2000u
#define SB_NETCONF_CONFIRM_MAX_MS 600000u

/* The kernel's side. */
struct sb_netconf_ops {
	/** Fill @ret (initialised) with what interface @name has. -SB_E_NOT_FOUND. */
	int (*read)(const char *name, Sparkbus__InterfaceSetting *ret, struct sb_err *err);
	/** Give the interface exactly these IPv4 addresses and this MTU (0 = leave it). */
	int (*apply)(const Sparkbus__InterfaceSetting *want, struct sb_err *err);
};
extern const struct sb_netconf_ops sb_netconf_rtnetlink;

struct sb_netconf_env {
	sd_event *loop;
	const char *state_dir; /* what is to be put back lies here */
	const char *root;      /* before /etc and /run; "" but in tests */
	const char *backend;   /* "auto", "netplan", "networkd" or "rtnetlink": who keeps it */
	const struct sb_netconf_ops *ops;
	/** Something worth an event. */
	void (*say)(void *ctx, const char *kind, const char *text);
	void *ctx;
};

struct sb_netconf;
/** Strings of @env are borrowed. What an agent before this one left unconfirmed is put back. */
int sb_netconf_new(const struct sb_netconf_env *env, struct sb_netconf **ret, struct sb_err *err);
void sb_netconf_free(struct sb_netconf *netconf);
SB_DEFINE_CLEANUP(sb_netconf_free, struct sb_netconf *)

/** Set, revert, or tell what would be done. @management: the interface that must stay ("" = none
 * is known). *@ret is the answer, also when it was not done: set_network_reply__free_unpacked().
 * Return: 0; -SB_E_INVALID, -SB_E_RANGE or -SB_E_BUSY when nothing was touched. */
int sb_netconf_set(struct sb_netconf *netconf, const Sparkbus__SetNetworkRequest *request,
		const char *management, Sparkbus__SetNetworkReply **ret, struct sb_err *err);
/** Keep what was set, or put back what was there. *@ret as above. */
int sb_netconf_confirm(struct sb_netconf *netconf, bool roll_back,
		Sparkbus__ConfirmNetworkReply **ret, struct sb_err *err);

#endif
