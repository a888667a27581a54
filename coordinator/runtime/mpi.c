/* mpi.c - Open MPI over containers, without SSH between them.
 *
 * mpirun starts a daemon (orted) on every other host by running a program of the user's choice,
 * usually ssh, with the host and the daemon's command. Here that program is a script which hands
 * the command to the main process of the host's container, the same script in its other part. That
 * one waits for a single command, executes it, and is the daemon from then on: its environment is
 * that of its own container, and its end is the container's.
 *
 * Who may give the command has the secret of the launch, which only its containers' files hold.
 *
 * One thing mpirun does carry from node to node: settings of Open MPI's own (OMPI_MCA_...), by its
 * daemons' words and to every rank. Those that name network interfaces are each node's own, so the
 * waiter keeps its container's under other names, and what MPI starts on each node is the script
 * once more, which puts them back and becomes the rank. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define SCRIPT SB_MPI_DIR "/start"
#define SECRET SB_MPI_DIR "/secret"

/* A worker opens its port as soon as Python is up, behind what pre_exec takes. */
#define GATE_TIMEOUT_MS ((uint64_t)2 * 60 * 1000)

/* The waiter sends a nonce, so that what was said once is worth nothing a second time; the proof
 * also names the waiter, so that it is worth nothing with another. Callers are served one at a
 * time, each within seconds. "exec" goes before the daemon, which Open MPI may put behind
 * assignments of PATH. As process 1 Python would not answer SIGTERM. */
static const char script[] =
		"#!/usr/bin/env python3\n"
		"# Made by sparkbus. \"start wait ADDRESS PORT\" becomes the command that it is "
		"told;\n"
		"# \"start run PORT ADDRESS WORD...\" tells it, and is mpirun's plm_rsh_agent;\n"
		"# \"start own WORD...\" becomes these words, with MPI's settings of this "
		"container.\n"
		"import hashlib\n"
		"import hmac\n"
		"import os\n"
		"import re\n"
		"import signal\n"
		"import socket\n"
		"import sys\n"
		"import time\n"
		"\n"
		"NONCE, PROOF, LIMIT, PATIENCE = 32, 32, 65536, 10\n"
		"KEPT = 'SPARKBUS_'\n"
		"\n"
		"\n"
		"def say(text):\n"
		"    print('sparkbus: ' + text, file=sys.stderr, flush=True)\n"
		"\n"
		"\n"
		"def secret():\n"
		"    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'secret')\n"
		"    try:\n"
		"        with open(path, 'rb') as file:\n"
		"            key = file.read()\n"
		"    except OSError as why:\n"
		"        sys.exit('sparkbus: %s: %s' % (path, why.strerror))\n"
		"    if len(key) < 32:\n"
		"        sys.exit('sparkbus: %s holds no secret' % path)\n"
		"    return key\n"
		"\n"
		"\n"
		"def proof(key, nonce, address, command):\n"
		"    text = nonce + address.encode() + b'\\0' + command\n"
		"    return hmac.new(key, text, hashlib.sha256).digest()\n"
		"\n"
		"\n"
		"def read(conn, limit):\n"
		"    data, end = b'', time.monotonic() + PATIENCE\n"
		"    while len(data) < limit:\n"
		"        conn.settimeout(max(end - time.monotonic(), 0.001))\n"
		"        more = conn.recv(limit - len(data))\n"
		"        if not more:\n"
		"            break\n"
		"        data += more\n"
		"    return data\n"
		"\n"
		"\n"
		"def hear(conn, key, address):\n"
		"    nonce = os.urandom(NONCE)\n"
		"    conn.sendall(nonce)\n"
		"    data = read(conn, LIMIT)\n"
		"    command = data[PROOF:]\n"
		"    good = hmac.compare_digest(data[:PROOF], proof(key, nonce, address, "
		"command))\n"
		"    return command if good and command else None\n"
		"\n"
		"\n"
		"def wait(address, port):\n"
		"    key = secret()\n"
		"    server = socket.create_server((address, port))\n"
		"    while True:\n"
		"        conn, caller = server.accept()\n"
		"        try:\n"
		"            conn.settimeout(PATIENCE)\n"
		"            command = hear(conn, key, address)\n"
		"            if command:\n"
		"                conn.sendall(b'ok')\n"
		"        except OSError:\n"
		"            command = None\n"
		"        conn.close()\n"
		"        if command:\n"
		"            break\n"
		"        say('refused a caller from ' + caller[0])\n"
		"    server.close()\n"
		"    for name in [name for name in os.environ if name.startswith('OMPI_MCA_')]:\n"
		"        os.environ[KEPT + name] = os.environ[name]\n"
		"    text = re.sub(r'(^|;)(\\s*)(\\S*\\borted)(?=\\s)', r'\\1\\2exec \\3', "
		"os.fsdecode(command), count=1)\n"
		"    os.execvp('sh', ['sh', '-c', text])\n"
		"\n"
		"\n"
		"def run(port, address, words):\n"
		"    key, command = secret(), os.fsencode(' '.join(words))\n"
		"    try:\n"
		"        with socket.create_connection((address, port), PATIENCE) as conn:\n"
		"            nonce = read(conn, NONCE)\n"
		"            conn.sendall(proof(key, nonce, address, command) + command)\n"
		"            conn.shutdown(socket.SHUT_WR)\n"
		"            if read(conn, 2) != b'ok':\n"
		"                sys.exit('sparkbus: %s refused the command of MPI' % address)\n"
		"    except OSError as why:\n"
		"        sys.exit('sparkbus: %s port %u: %s' % (address, port, why))\n"
		"\n"
		"\n"
		"def own(words):\n"
		"    for name in [name for name in os.environ if name.startswith(KEPT)]:\n"
		"        os.environ[name[len(KEPT):]] = os.environ.pop(name)\n"
		"    try:\n"
		"        os.execvp(words[0], words)\n"
		"    except OSError as why:\n"
		"        sys.exit('sparkbus: %s: %s' % (words[0], why.strerror))\n"
		"\n"
		"\n"
		"signal.signal(signal.SIGTERM, lambda *_: os._exit(143))\n"
		"if sys.argv[1] == 'wait':\n"
		"    wait(sys.argv[2], int(sys.argv[3]))\n"
		"elif sys.argv[1] == 'own':\n"
		"    own(sys.argv[2:])\n"
		"else:\n"
		"    run(int(sys.argv[2]), sys.argv[3], sys.argv[4:])\n";

static int add_files(const struct sb_launch *launch, struct sb_rank_part *ret)
{
	const char *secret = launch->secret ? launch->secret : "";
	int rc = sb_rank_part_file(ret, SCRIPT, script, sizeof(script) - 1, 0755, false);

	return rc < 0 ? rc : sb_rank_part_file(ret, SECRET, secret, strlen(secret), 0600, true);
}

int sb_mpi_worker(const struct sb_launch *launch, unsigned rank, struct sb_rank_part *ret)
{
	sb_strbuf_addf(&ret->serve, "python3 " SCRIPT " wait %s %u", launch->addresses[rank],
			launch->init_port);
	sb_rank_part_port(ret, launch->init_port);
	ret->gate_port = launch->init_port;
	ret->gate_timeout_ms = GATE_TIMEOUT_MS;
	ret->init = true; /* MPI's processes are the daemon's, and some outlive it */
	return ret->serve.failed ? -SB_E_NOMEM : add_files(launch, ret);
}

static int add_hosts(const struct sb_launch *launch, struct sb_words *words)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf hosts = SB_STRBUF_INIT;

	for (size_t i = 0; i < launch->n; i++)
		sb_strbuf_addf(&hosts, "%s%s", i ? "," : "", launch->addresses[i]);
	return hosts.failed ? -SB_E_NOMEM
			    : sb_words_add_marked(words, sb_strbuf_str(&hosts), SB_MARK_RANK);
}

/* The head gives every daemon its command itself (no tree), and the daemons stay in the foreground:
 * one that went into the background would end its container. */
int sb_mpi_head(const struct sb_launch *launch, struct sb_rank_part *ret)
{
	char agent[sizeof(SCRIPT) + 16];
	const char *const words[] = { "mpirun", "--allow-run-as-root", "--leave-session-attached",
		"--mca", "plm_rsh_agent", agent, "--mca", "plm_rsh_no_tree_spawn", "1", "--mca",
		"rmaps_ppr_n_pernode", "1", "-H" };
	static const char *const own[] = { SCRIPT, "own" };
	int rc = 0;

	snprintf(agent, sizeof(agent), SCRIPT " run %u", launch->init_port);
	for (size_t i = 0; rc == 0 && i < sb_countof(words); i++)
		rc = sb_words_add_marked(&ret->before, words[i], SB_MARK_RANK);
	if (rc == 0)
		rc = add_hosts(launch, &ret->before);
	for (size_t i = 0; rc == 0 && i < sb_countof(own); i++)
		rc = sb_words_add_marked(&ret->before, own[i], SB_MARK_RANK);
	ret->stage = 1;
	ret->init = true;
	return rc < 0 ? rc : add_files(launch, ret);
}

int sb_mpi_check(const struct sb_launch *launch, struct sb_err *err)
{
	for (size_t i = 0; i < launch->n; i++)
		if (strchr(launch->addresses[i], ':'))
			return sb_err_set(err, SB_E_UNSUPPORTED,
					"%s: Open MPI takes IPv4 addresses only",
					launch->addresses[i]);
	return 0;
}
