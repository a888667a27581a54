/* main.c - sparkbusd: options, wiring, run. No decisions. */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "sb_agent.h"
#include "sb_bus.h"
#include "sb_fs.h"
#include "sb_log.h"
#include "sb_loop.h"
#include "sb_peer.h"
#include "sb_rpc.h"
#include "sb_store.h"

#define TELEMETRY_JOBS_MAX 64

struct app {
	struct sb_agent agent; /* first: verbs get this */
	struct sb_mailbox *box;
	struct sb_store *store;
	struct sb_audit *audit;
	struct sb_peers *peers;
	struct sb_rpc *rpc;
	struct sb_bus *bus;
};

static const char usage[] =
		"Usage: sparkbusd [--config FILE]\n"
		"       sparkbusd enroll --name NAME [--config FILE]\n"
		"       sparkbusd enroll --install BUNDLE [--config FILE]\n"
		"\n"
		"The sparkbus agent. Runs in the foreground, logs to stderr.\n"
		"\n"
		"  -c, --config FILE  settings (default " SB_CONFIG_DEFAULT_PATH ")\n"
		"      --version      print the version and exit\n"
		"  -h, --help         print this and exit\n"
		"\n"
		"enroll: this node's identity\n"
		"      --name NAME       make key and certificate request for this node name\n"
		"      --install BUNDLE  install what `sparkbus node add` made of the request\n"
		"                        (\"-\" reads standard input)\n";

/* --- audit --- */

static void audit(void *ctx, const char *operator_name, const char *from, const char *verb,
		const char *job, enum sb_code outcome, const char *text)
{
	struct app *app = ctx;
	struct sb_err err = SB_ERR_INIT;

	if (sb_audit_add(app->audit, operator_name, from, verb, job, outcome, text, &err) < 0)
		sb_log(SB_LOG_ERR, "audit.failed", "verb=%s job=%s error=\"%s\"", verb, job,
				err.text);
}

/* --- certificates in use --- */

static int listen_with_identity(struct app *app, struct sb_err *err)
{
	const struct sb_config *c = &app->agent.config;
	const struct sb_identity *id = &app->agent.identity;
	struct sb_tls_creds creds = { .cert_pem = id->cert, .key_pem = id->key };
	int rc;

	creds.peer_ca_pem = id->operator_ca;
	creds.peer_crl_pem = id->operator_crl;
	rc = sb_bus_listen(
			app->bus, SB_BUS_CONTROL, c->listen_address, c->control_port, &creds, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "control listener");
	creds.peer_ca_pem = id->node_ca;
	creds.peer_crl_pem = id->node_crl;
	rc = sb_bus_listen(app->bus, SB_BUS_PEER, c->listen_address, c->peer_port, &creds, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "peer listener");
	return sb_peers_creds(app->peers, &creds, err);
}

static int reload(struct sb_agent *agent, struct sb_err *err)
{
	int rc = listen_with_identity((struct app *)agent, err);

	if (rc < 0)
		sb_events_add(agent->events, "identity.failed", NULL, -1, NULL, "%s", err->text);
	else
		sb_log(SB_LOG_INFO, "identity.reload", "node=%s serial=%s", agent->identity.name,
				agent->cert_serial);
	return rc;
}

/* --- signals --- */

static int on_quit(sd_event_source *source, const struct signalfd_siginfo *info, void *ctx)
{
	struct app *app = ctx;

	sb_log(SB_LOG_INFO, "agent.stop", "signal=%u containers=\"left running\"", info->ssi_signo);
	return sd_event_exit(app->agent.loop, 0);
}

/* New files in the identity folder: a renewed certificate, a list put there by hand. */
static int on_hup(sd_event_source *source, const struct signalfd_siginfo *info, void *ctx)
{
	SB_CLEANUP(sb_identity_done) struct sb_identity fresh = { 0 };
	struct sb_err err = SB_ERR_INIT;
	struct app *app = ctx;

	if (sb_identity_load(app->agent.config.identity_dir, &fresh, &err) < 0 ||
			sb_agent_use_identity(&app->agent, &fresh, &err) < 0 ||
			reload(&app->agent, &err) < 0)
		sb_log(SB_LOG_ERR, "identity.reload", "error=\"%s\" kept=old", err.text);
	return 0;
}

/* Before the first thread: nng's threads inherit the mask, and the loop alone takes signals. */
static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int make_loop(struct app *app, struct sb_err *err)
{
	int rc = sd_event_default(&app->agent.loop);

	if (rc >= 0)
		rc = sd_event_add_signal(app->agent.loop, NULL, SIGTERM, on_quit, app);
	if (rc >= 0)
		rc = sd_event_add_signal(app->agent.loop, NULL, SIGINT, on_quit, app);
	if (rc >= 0)
		rc = sd_event_add_signal(app->agent.loop, NULL, SIGHUP, on_hup, app);
	if (rc >= 0)
		rc = sd_event_set_watchdog(app->agent.loop, true); /* WatchdogSec= of the unit */
	return rc < 0 ? sb_err_errno(err, -rc, "event loop") : 0;
}

/* What the agent has touched stays in memory: when the node swaps, it must not wait for itself.
 * Not being allowed to is no reason not to run. */
static void stay_in_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		sb_log(SB_LOG_WARN, "agent.memlock", "error=\"%s\" hint=\"LimitMEMLOCK=infinity\"",
				strerror(errno));
}

/* --- wiring --- */

static void on_event(void *ctx)
{
	sb_parking_kick(((struct app *)ctx)->agent.parking);
}

static void on_job_change(void *ctx, const char *job)
{
	sb_parking_kick(((struct app *)ctx)->agent.parking);
}

static void on_engine(void *ctx, const struct sb_err *err)
{
	sb_engine_seen(((struct app *)ctx)->agent.seen, err);
}

static int make_state(struct app *app, struct sb_err *err)
{
	struct sb_config *c = &app->agent.config;
	SB_CLEANUP(sb_freep) char *audit_path = sb_fs_join(c->state_dir, "audit.log");
	int rc = audit_path ? 0 : sb_err_nomem(err);

	if (rc == 0)
		rc = sb_store_open(c->state_dir, &app->store, err);
	if (rc == 0)
		rc = sb_audit_open(audit_path, &app->audit, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "state folder %s", c->state_dir);
	return 0;
}

static void on_telemetry(void *ctx, const char *kind, const char *text)
{
	sb_events_add(((struct app *)ctx)->agent.events, kind, NULL, -1, NULL, "%s", text);
}

static size_t telemetry_jobs(void *ctx, struct sb_telemetry_job *list, size_t max)
{
	struct sb_jobs *jobs = ((struct app *)ctx)->agent.jobs;
	struct sb_job_process running[TELEMETRY_JOBS_MAX];
	size_t n = max < sb_countof(running) ? max : sb_countof(running);

	n = jobs ? sb_jobs_processes(jobs, running, n) : 0; /* none before they are made */
	for (size_t i = 0; i < n; i++)
		list[i] = (struct sb_telemetry_job){ running[i].job, running[i].rank,
			running[i].container, running[i].pid };
	return n;
}

static int make_telemetry(struct app *app, struct sb_err *err)
{
	struct sb_telemetry_env env = {
		.loop = app->agent.loop,
		.proc_root = "/proc",
		.sys_root = "/sys",
		.nvml = "libnvidia-ml.so.1",
		.node = app->agent.identity.name,
		.beacon = app->agent.config.fabric_beacon,
		.say = on_telemetry,
		.jobs = telemetry_jobs,
		.ctx = app,
	};

	return sb_telemetry_new(&env, &app->agent.telemetry, err);
}

static void on_network(void *ctx, const char *kind, const char *text)
{
	sb_log(SB_LOG_WARN, kind, "%s", text);
	sb_events_add(((struct app *)ctx)->agent.events, kind, NULL, -1, NULL, "%s", text);
}

static int make_netconf(struct app *app, struct sb_err *err)
{
	struct sb_netconf_env env = {
		.loop = app->agent.loop,
		.state_dir = app->agent.config.state_dir,
		.root = "",
		.backend = app->agent.config.fabric_backend,
		.ops = &sb_netconf_rtnetlink,
		.say = on_network,
		.ctx = app,
	};

	return sb_netconf_new(&env, &app->agent.netconf, err);
}

static int make_jobs(struct app *app, struct sb_err *err)
{
	struct sb_agent *a = &app->agent;
	struct sb_jobs_env env = {
		.loop = a->loop,
		.engine = a->engine,
		.peers = app->peers,
		.store = app->store,
		.events = a->events,
		.node_name = a->identity.name,
		.state_dir = a->config.state_dir,
		.hf_cache = a->config.hf_cache,
		.log_max_bytes = a->config.log_max_bytes,
		.ended_kept = a->config.ended_jobs_kept,
		.watch = { (uint64_t)a->config.health_frozen_s * 1000,
				(uint64_t)a->config.health_prove_s * 1000 },
		.on_change = on_job_change,
		.on_engine = on_engine,
		.ctx = app,
	};

	return sb_jobs_new(&env, &a->jobs, err);
}

static int make_bus(struct app *app, struct sb_err *err)
{
	size_t n;
	const struct sb_verb *verbs = sb_verbs(&n);
	struct sb_agent *a = &app->agent;
	int rc;

	rc = sb_rpc_new(a->loop, a->identity.name, verbs, n, a, audit, app, &app->rpc, err);
	if (rc == 0)
		rc = sb_bus_new(a->loop, app->box, sb_rpc_request, app->rpc, &app->bus, err);
	return rc;
}

static int make_identity(struct app *app, struct sb_err *err)
{
	struct sb_agent *a = &app->agent;
	SB_CLEANUP(sb_identity_done) struct sb_identity fresh = { 0 };
	struct sb_err dates = SB_ERR_INIT;
	int rc = sb_identity_load(a->config.identity_dir, &fresh, err);

	if (rc == 0)
		rc = sb_agent_use_identity(a, &fresh, err);
	if (rc < 0)
		return rc;
	/* Not fatal: the clock may be wrong, or a new certificate may come while it runs. */
	if (sb_identity_check(&a->identity, 0, &dates) < 0)
		sb_log(SB_LOG_ERR, "identity.bad", "error=\"%s\" hint=\"%s\"", dates.text,
				dates.hint);
	return 0;
}

static int wire(struct app *app, struct sb_err *err)
{
	struct sb_agent *a = &app->agent;
	int rc;

	a->started_boot_ms = sb_now_boot_ms();
	a->reload = reload;
	if ((rc = make_identity(app, err)) < 0 || (rc = make_loop(app, err)) < 0 ||
			(rc = make_state(app, err)) < 0 ||
			(rc = sb_mailbox_new(a->loop, &app->box, err)) < 0 ||
			(rc = sb_node_new(a->identity.name, &a->node, err)) < 0 ||
			(rc = sb_events_new(a->identity.name, &a->events, err)) < 0 ||
			(rc = make_telemetry(app, err)) < 0 ||
			(rc = sb_parking_new(a, &a->parking, err)) < 0 ||
			(rc = sb_engine_docker_new(
					 a->loop, a->config.engine_socket, &a->engine, err)) < 0 ||
			(rc = sb_engine_seen_new(a, &a->seen, err)) < 0 ||
			(rc = sb_pulls_new(a, &a->pulls, err)) < 0 ||
			(rc = sb_linktests_new(app->box, &a->linktests, err)) < 0 ||
			(rc = make_netconf(app, err)) < 0 ||
			(rc = sb_upkeep_new(app->box, "/proc", a->config.hf_cache, &a->upkeep,
					 err)) < 0 ||
			(rc = sb_peers_new(a->loop, app->box, &app->peers, err)) < 0 ||
			(rc = make_bus(app, err)) < 0 || (rc = make_jobs(app, err)) < 0 ||
			(rc = sb_guarding_new(a, app->box, &a->guarding, err)) < 0)
		return rc;
	sb_events_on_add(a->events, on_event, app);
	return listen_with_identity(app, err);
}

static void unwire(struct app *app)
{
	struct sb_agent *a = &app->agent;

	sb_parking_free(a->parking);
	a->parking = NULL;
	sb_guarding_free(a->guarding);
	sb_jobs_free(a->jobs);
	sb_pulls_free(a->pulls);
	sb_linktests_free(a->linktests);
	sb_netconf_free(a->netconf);
	sb_upkeep_free(a->upkeep);
	sb_engine_seen_free(a->seen);
	sb_rpc_free(app->rpc);
	sb_bus_free(app->bus);
	sb_peers_free(app->peers);
	sb_engine_free(a->engine);
	sb_telemetry_free(a->telemetry);
	sb_events_free(a->events);
	sb_node_free(a->node);
	sb_mailbox_free(app->box);
	sb_audit_close(app->audit);
	sb_store_close(app->store);
	sd_event_unref(a->loop);
	sb_identity_done(&a->identity);
	sb_config_done(&a->config);
}

static int fail(const struct sb_err *err)
{
	sb_log(SB_LOG_ERR, "agent.failed", "error=\"%s\"%s%s", err->text,
			*err->hint ? " hint=" : "", err->hint);
	return 1;
}

static int run(const char *config_path)
{
	struct app app = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	block_signals();
	if (sb_config_load(config_path, &app.agent.config, &err) < 0)
		return fail(&err);
	sb_log_setup((enum sb_log_level)app.agent.config.log_level,
			getenv("JOURNAL_STREAM") != NULL);
	stay_in_memory();
	if (wire(&app, &err) < 0) {
		unwire(&app);
		return fail(&err);
	}
	sb_log(SB_LOG_INFO, "agent.start", "node=%s version=%s control=%u peer=%u",
			app.agent.identity.name, SB_VERSION, app.agent.config.control_port,
			app.agent.config.peer_port);
	sd_notify(0, "READY=1");
	rc = sd_event_loop(app.agent.loop);
	sd_notify(0, "STOPPING=1");
	unwire(&app);
	return rc < 0 ? 1 : rc;
}

/* --- enroll --- */

static int install(const struct sb_config *config, const char *path, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf bundle = SB_STRBUF_INIT;
	int rc = sb_fs_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, 1 << 20, &bundle, err);

	if (rc == 0)
		rc = sb_enroll_install(config->identity_dir, sb_strbuf_str(&bundle), err);
	if (rc == 0)
		printf("installed in %s\n", config->identity_dir);
	return rc;
}

static int request(const struct sb_config *config, const char *name, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *csr_path = NULL;
	int rc = sb_enroll_request(config->identity_dir, name, &csr_path, err);

	if (rc == 0)
		printf("%s\n", csr_path);
	return rc;
}

static int enroll(const char *config_path, const char *name, const char *bundle)
{
	struct sb_config config = { 0 };
	struct sb_err err = SB_ERR_INIT;
	int rc;

	if (!name == !bundle) {
		fprintf(stderr, "enroll needs either --name or --install.\n\n%s", usage);
		return 2;
	}
	rc = sb_config_load(config_path, &config, &err);
	if (rc == 0)
		rc = name ? request(&config, name, &err) : install(&config, bundle, &err);
	sb_config_done(&config);
	if (rc == 0)
		return 0;
	fprintf(stderr, "Error: %s\n", err.text);
	if (*err.hint)
		fprintf(stderr, "Hint: %s\n", err.hint);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "name", required_argument, NULL, 'n' },
		{ "install", required_argument, NULL, 'i' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *config = SB_CONFIG_DEFAULT_PATH, *name = NULL, *bundle = NULL;
	bool enrolling;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (opt == 'c')
			config = optarg;
		else if (opt == 'n')
			name = optarg;
		else if (opt == 'i')
			bundle = optarg;
		else if (opt == 'v')
			return puts("sparkbusd " SB_VERSION) < 0;
		else if (opt == 'h')
			return fputs(usage, stdout) < 0;
		else
			return fputs(usage, stderr), 2;
	}
	enrolling = optind < argc && strcmp(argv[optind], "enroll") == 0;
	if (argc - optind != enrolling || (!enrolling && (name || bundle))) {
		fputs(usage, stderr);
		return 2;
	}
	umask(077);
	return enrolling ? enroll(config, name, bundle) : run(config);
}
