/* sb_config.h - the agent's settings: /etc/sparkbus/agent.yaml, every key optional, none unknown.
 */
#ifndef SB_CONFIG_H
#define SB_CONFIG_H

#include "sb_err.h"

struct sb_config {
	char *identity_dir;    /* identity_dir:  /etc/sparkbus/identity */
	char *state_dir;       /* state_dir:     /var/lib/sparkbus */
	char *listen_address;  /* listen.address: "" = every address, IPv4 and IPv6 */
	uint16_t control_port; /* listen.control_port: 47100 */
	uint16_t peer_port;    /* listen.peer_port:    47101 */
	char *engine_socket;   /* engine.socket: /run/docker.sock */
	char *hf_cache; /* models.hf_cache: ~/.cache/huggingface of the first human user, else
			 * /var/lib/sparkbus/huggingface */
	uint64_t log_max_bytes;   /* logs.max_bytes: 32 MiB, per rank ("32MiB", "64k", bytes) */
	unsigned ended_jobs_kept; /* jobs.ended_kept: 32; older ended jobs and their logs are
				     dropped */
	unsigned health_frozen_s; /* health.frozen_s: 60 */
	unsigned health_prove_s;  /* health.prove_s: 60 */
	int guard_mode;           /* guard.mode: off, warn, act */
	uint64_t guard_warn; /* guard.warn: bytes of available memory; 0 = as fits the machine */
	uint64_t guard_critical;  /* guard.critical */
	uint64_t guard_emergency; /* guard.emergency */
	char *guard_cgroup;       /* guard.cgroup: "" = the machine */
	int log_level;            /* log.level: error, warn, info, debug */
	char *fabric_backend;     /* fabric.backend: auto, netplan, networkd, rtnetlink */
	char *fabric_beacon;      /* fabric.beacon: auto; or off, or names of interfaces */
};

/** Defaults, then @path on top (NULL = defaults only). A missing file is an error unless @path is
 * the default place. Unknown keys, wrong types, duplicate keys and values out of range are refused
 * with file:line:column and what is expected. */
int sb_config_load(const char *path, struct sb_config *ret, struct sb_err *err);
void sb_config_done(struct sb_config *config);
#define SB_CONFIG_DEFAULT_PATH "/etc/sparkbus/agent.yaml"

#endif
