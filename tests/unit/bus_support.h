/* bus_support.h - for the tests of the bus: certificates, and an agent's doors in a thread.
 *
 * Certificates are made by the openssl command, so that a mistake in our own code for them cannot
 * hide here. There are two authorities with the names of the design, and a stranger's. */
#ifndef BUS_SUPPORT_H
#define BUS_SUPPORT_H

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sb_rpc.h"

static char pki_dir[200];

static const char pki_script[] =
		"set -e; cd \"$1\"; exec 2>/dev/null\n"
		"cat > cnf <<'E'\n"
		"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=x\n"
		"[ca]\ndefault_ca=c\n[c]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\n"
		"default_crl_days=30\nE\n"
		"key() { openssl ecparam -genkey -name prime256v1 -noout -out $1.key; }\n"
		"ca() { key $1; openssl req -config cnf -x509 -new -key $1.key -subj /CN=$1 -days "
		"30"
		" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign,cRLSign"
		" -out $1.crt; }\n"
		"cert() { key $1; openssl req -config cnf -new -key $1.key -subj /CN=$1"
		" -addext subjectAltName=DNS:$1 -out $1.csr; openssl x509 -req -in $1.csr -CA "
		"$2.crt"
		" -CAkey $2.key -set_serial 0x$3 -days 30 -copy_extensions copyall -out $1.crt; }\n"
		"crl() { : > index; echo 01 > number; for c in $3; do openssl ca -config cnf"
		" -keyfile $2.key -cert $2.crt -revoke $c.crt; done; openssl ca -config cnf"
		" -keyfile $2.key -cert $2.crt -gencrl -out $1; rm -f index* number*; }\n"
		"ca opca; ca nodeca; ca strangerca\n"
		"cert alice opca 11; cert mallory opca 12; cert node1 nodeca 21; cert node2 nodeca "
		"22\n"
		"cert stranger strangerca 31\n"
		"crl op.crl opca mallory; crl op-alice.crl opca alice; crl node.crl nodeca ''\n"
		"crl node1.crl nodeca node1\n";

static void pki_make(void)
{
	const char *tmp = getenv("TMPDIR");
	char command[sizeof(pki_script) + 300];

	snprintf(pki_dir, sizeof(pki_dir), "%s/sb-bus-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(pki_dir))
		abort();
	/* The script has no double quote but those of $1. */
	snprintf(command, sizeof(command), "set -- '%s'; %s", pki_dir, pki_script);
	if (system(command) != 0) {
		fprintf(stderr, "cannot make certificates in %s\n", pki_dir);
		abort();
	}
}

static void pki_remove(void)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -r '%s'", pki_dir);
	if (system(command) != 0)
		abort();
}

/* A file of the PKI; kept for the life of the process. */
static const char *pki(const char *name)
{
	static struct {
		char name[32];
		char *text;
	} files[32];
	char path[300];
	FILE *f;
	size_t n, i;

	for (i = 0; files[i].text; i++)
		if (!strcmp(files[i].name, name))
			return files[i].text;
	snprintf(path, sizeof(path), "%s/%s", pki_dir, name);
	f = fopen(path, "re");
	if (!f)
		abort();
	files[i].text = calloc(1, 16384);
	n = fread(files[i].text, 1, 16383, f);
	fclose(f);
	if (!n)
		abort();
	snprintf(files[i].name, sizeof(files[i].name), "%s", name);
	return files[i].text;
}

static struct sb_tls_creds creds_of(const char *who, const char *peer_ca, const char *peer_crl)
{
	char crt[40], key[40], ca[40];

	snprintf(crt, sizeof(crt), "%s.crt", who);
	snprintf(key, sizeof(key), "%s.key", who);
	snprintf(ca, sizeof(ca), "%s.crt", peer_ca);
	return (struct sb_tls_creds){ pki(crt), pki(key), pki(ca),
		peer_crl ? pki(peer_crl) : NULL };
}

/* --- the agent's side, in a thread of its own --- */

struct agent {
	const struct sb_verb *verbs;
	size_t n_verbs;
	const char *node;
	sb_rpc_audit_fn audit;
	void (*setup)(struct agent *agent); /* on the loop thread, may be NULL */
	pthread_t thread;
	pthread_barrier_t barrier;
	sd_event *loop;
	struct sb_mailbox *box;
	struct sb_rpc *rpc;
	struct sb_bus *bus;
	uint16_t control_port, peer_port;
	struct sb_mail stop_mail;
	/* agent_do(): run something on the loop thread and wait */
	struct sb_mail do_mail;
	void (*do_fn)(struct agent *agent);
};

static void agent_stop_mail(struct sb_mail *mail)
{
	struct agent *agent = sb_container_of(mail, struct agent, stop_mail);

	sd_event_exit(agent->loop, 0);
}

static void agent_do_mail(struct sb_mail *mail)
{
	struct agent *agent = sb_container_of(mail, struct agent, do_mail);

	agent->do_fn(agent);
	pthread_barrier_wait(&agent->barrier);
}

static void agent_listen(struct agent *agent, enum sb_bus_door door, uint16_t *ret_port)
{
	struct sb_tls_creds creds = door == SB_BUS_CONTROL
			? creds_of(agent->node, "opca", "op.crl")
			: creds_of(agent->node, "nodeca", "node.crl");
	struct sb_err err;

	if (sb_bus_listen(agent->bus, door, "127.0.0.1", 0, &creds, &err) < 0) {
		fprintf(stderr, "listen: %s\n", err.text);
		abort();
	}
	*ret_port = sb_bus_port(agent->bus, door);
}

static void *agent_main(void *arg)
{
	struct agent *agent = arg;

	if (sd_event_new(&agent->loop) < 0 || sb_mailbox_new(agent->loop, &agent->box, NULL) < 0 ||
			sb_rpc_new(agent->loop, agent->node, agent->verbs, agent->n_verbs, agent,
					agent->audit, agent, &agent->rpc, NULL) < 0 ||
			sb_bus_new(agent->loop, agent->box, sb_rpc_request, agent->rpc, &agent->bus,
					NULL) < 0)
		abort();
	agent_listen(agent, SB_BUS_CONTROL, &agent->control_port);
	agent_listen(agent, SB_BUS_PEER, &agent->peer_port);
	if (agent->setup)
		agent->setup(agent);
	pthread_barrier_wait(&agent->barrier);
	sd_event_loop(agent->loop);
	/* In this order in the agent too: what brings requests goes first. */
	sb_bus_free(agent->bus);
	sb_rpc_free(agent->rpc);
	sb_mailbox_free(agent->box);
	sd_event_unref(agent->loop);
	return NULL;
}

static void agent_start(struct agent *agent)
{
	agent->stop_mail.deliver = agent_stop_mail;
	agent->do_mail.deliver = agent_do_mail;
	pthread_barrier_init(&agent->barrier, NULL, 2);
	ck_assert_int_eq(pthread_create(&agent->thread, NULL, agent_main, agent), 0);
	pthread_barrier_wait(&agent->barrier);
}

static void agent_stop(struct agent *agent)
{
	sb_mailbox_post(agent->box, &agent->stop_mail);
	pthread_join(agent->thread, NULL);
	pthread_barrier_destroy(&agent->barrier);
}

static inline void agent_do(struct agent *agent, void (*fn)(struct agent *agent))
{
	agent->do_fn = fn;
	sb_mailbox_post(agent->box, &agent->do_mail);
	pthread_barrier_wait(&agent->barrier);
}

static inline int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ".", "..", and the folder itself */
}

#endif
