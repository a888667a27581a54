#!/usr/bin/env bash
# Brings up what test_engine_docker wants: a real daemon, an image, a registry with a password.
. "$(dirname "$0")/../testbed/lib.sh"

command -v busybox >/dev/null || skip_all "needs busybox (busybox-static)"
command -v docker-registry >/dev/null || skip_all "needs docker-registry"
testbed_up 1 --no-agent

mkdir -p "$scratch/image/bin" "$scratch/registry"
cp "$(command -v busybox)" "$scratch/image/bin/busybox"
ln -s busybox "$scratch/image/bin/sh"
tar -C "$scratch/image" -c . | node_docker spark1 import - testimg:1 >/dev/null

# Daemon and registry live in the node's network, where 127.0.0.1 needs no TLS.
cat >"$scratch/registry/config.yml" <<YAML
version: 0.1
storage: { filesystem: { rootdirectory: $scratch/registry/data } }
http: { addr: "127.0.0.1:5000" }
auth: { htpasswd: { realm: test, path: $scratch/registry/htpasswd } }
YAML
if command -v htpasswd >/dev/null; then
	htpasswd -Bbn user secret >"$scratch/registry/htpasswd"
	node_exec spark1 docker-registry serve "$scratch/registry/config.yml" >"$scratch/registry/log" 2>&1 &
	wait_until 20 "the registry answers" node_exec spark1 curl -s -o /dev/null http://127.0.0.1:5000/v2/
	auth() { printf '{"username":"user","password":"%s"}' "$1" | base64 -w0 | tr '+/' '-_'; }
	node_docker spark1 tag testimg:1 127.0.0.1:5000/testimg:1
	node_docker spark1 --config "$scratch/registry/login" login -u user -p secret 127.0.0.1:5000 >/dev/null 2>&1
	run_expect 0 "the image is pushed" \
		node_docker spark1 --config "$scratch/registry/login" push -q 127.0.0.1:5000/testimg:1
	node_docker spark1 rmi 127.0.0.1:5000/testimg:1 >/dev/null
	export SB_TEST_PULL_REF=127.0.0.1:5000/testimg:1 SB_TEST_PULL_AUTH SB_TEST_PULL_BAD_AUTH
	SB_TEST_PULL_AUTH=$(auth secret)
	SB_TEST_PULL_BAD_AUTH=$(auth wrong)
else
	skip "pulls from a registry" "needs htpasswd (apache2-utils)"
fi

export SB_TEST_DOCKER_SOCK=$tb/spark1/docker.sock
export SB_TEST_DOCKER_RESTART="'$testbed' dockerd '$tb' spark1 kill9 && '$testbed' dockerd '$tb' spark1 start"
run "$SB_BUILD/tests/integration/test_engine_docker"
diag "$out"
is "$rc" 0 "every operation does on a real engine what it says" || diag "$err"
node_exec spark1 pkill -f "docker-registry serve $scratch" || true
done_testing
