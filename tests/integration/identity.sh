#!/usr/bin/env bash
# Who may not come in, at which door, and whether the refusal says why: certificates that are
# expired, early, revoked, of the wrong authority, of the wrong role, of the wrong node, or absent.
# The odd ones are signed by openssl(1) with the cluster's own authorities.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

command -v openssl >/dev/null || skip_all "needs openssl"
testbed_up 2 --image sim:1
one=$TESTBED_NET.11 two=$TESTBED_NET.12
control=47100 peer=47101
pki=$SPARKBUS_HOME/pki

containers() { { node_docker spark1 ps -aq --filter label=sparkbus.job
	node_docker spark2 ps -aq --filter label=sparkbus.job; } | wc -l; }

# --- odd certificates ---

# An authority as `openssl ca` wants it: $scratch/ca-WHICH with the key of $1/WHICH-ca.key.
authority() # PKI-DIR WHICH
{
	local dir=$scratch/ca-$2
	mkdir -p "$dir"
	: >"$dir/index"
	echo 1000 >"$dir/crlnumber"
	cat >"$dir/cnf" <<-CNF
		[ca]
		default_ca = x
		[x]
		database = $dir/index
		new_certs_dir = $dir
		certificate = $1/$2-ca.crt
		private_key = $1/$2-ca.key
		serial = $dir/serial
		crlnumber = $dir/crlnumber
		default_md = sha256
		default_crl_days = 30
		policy = any
		unique_subject = no
		[any]
		commonName = supplied
		[crl]
		authorityKeyIdentifier = keyid
	CNF
}

# Write OUT.key and OUT.crt, valid from START to END (words of date(1)).
certificate() # AUTHORITY NAME OUT START END
{
	local dir=$scratch/ca-$1 eku=clientAuth
	[ "$1" = operator ] || eku=serverAuth,clientAuth
	openssl ecparam -name prime256v1 -genkey -noout -out "$3.key"
	openssl req -new -key "$3.key" -subj "/CN=$2" -out "$3.csr"
	printf '%s\n' basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature \
		extendedKeyUsage=$eku "subjectAltName=DNS:$2" authorityKeyIdentifier=keyid >"$3.ext"
	openssl ca -batch -notext -config "$dir/cnf" -rand_serial -in "$3.csr" -out "$3.crt" \
		-extfile "$3.ext" -startdate "$(date -u -d "$4" +%y%m%d%H%M%SZ)" \
		-enddate "$(date -u -d "$5" +%y%m%d%H%M%SZ)" 2>>"$scratch/openssl"
}

# A copy of the operator's folder, to be spoilt; its path is in $home.
other_home() # NAME [CERT-PREFIX]
{
	home=$scratch/home-$1
	cp -r "$SPARKBUS_HOME" "$home"
	[ $# = 1 ] || { cp "$2.crt" "$home/pki/operator.crt"; cp "$2.key" "$home/pki/operator.key"; }
}

as() { local home=$1; shift; SPARKBUS_HOME=$home "$@"; }

# Refused: the CLI exits with the status, nothing is shown as fact, and the reason is there.
refused() # HOME REGEX NAME
{
	run_expect 3 "$3: every node is unknown" as "$1" sparkbus status
	like "$out$err" "$2" "$3: and it says why"
	unlike "$out" '^spark[0-9]+ +ok' "$3: no node is called ok"
	run as "$1" sparkbus node show spark1
	is "$rc" 1 "$3: a question to one node fails"
	like "$err" "$2" "$3: with the same reason"
}

authority "$pki" operator
authority "$pki" node

# --- files ---

loose() # DIR: what others could read
{
	find "$1" \( -type f ! -perm 600 -o -type d ! -perm 700 \) -printf '%m %p\n'
}
fresh=$scratch/fresh
mkdir "$fresh"
(umask 0 && SPARKBUS_HOME=$fresh/home sparkbus -q init --operator fresh >/dev/null 2>&1)
is "$(loose "$fresh/home")" '' "init: files 0600, folders 0700, under umask 0 too"
sed "s#$tb/spark1/#$fresh/#" "$tb/spark1/agent.yaml" >"$fresh/agent.yaml"
csr=$(umask 0 && sparkbusd enroll --name fresh1 --config "$fresh/agent.yaml" | tail -n 1)
(umask 0 && SPARKBUS_HOME=$fresh/home sparkbus node add fresh1 127.0.0.1 --csr "$csr" \
	--out "$fresh/bundle" && sparkbusd enroll --install "$fresh/bundle" \
	--config "$fresh/agent.yaml") >/dev/null 2>&1
is "$(loose "$fresh/identity")" '' "enroll: the same on the node"
is "$(loose "$fresh/home")" '' "node add: the same at the operator's"
for node in spark1 spark2; do
	is "$(loose "$tb/$node/identity"; loose "$tb/$node/state")" '' "$node: the running agent's too"
done

# --- nobody gets a byte before he is known ---

# What the agent says to a client, in bytes; TLS errors go to $scratch/tls.
greeting() # ADDRESS PORT S_CLIENT-ARGS...
{
	local address=$1 port=$2
	shift 2
	{ timeout 3 openssl s_client -quiet -connect "$address:$port" "$@" 2>"$scratch/tls" \
		< <(sleep 1); } | wc -c
}
node=$tb/spark2/identity
operator_args=(-cert "$pki/operator.crt" -key "$pki/operator.key")
node_args=(-cert "$node/node.crt" -key "$node/node.key")
is "$(greeting "$one" $control "${operator_args[@]}")" 8 "an operator is greeted at the control door"
is "$(greeting "$one" $peer "${node_args[@]}")" 8 "a node is greeted at the peer door"
for port in $control $peer; do
	is "$(greeting "$one" $port)" 0 "port $port: without a certificate not a byte"
	like "$(<"$scratch/tls")" 'unexpected eof|alert' "port $port: he is hung up on"
done
is "$(greeting "$one" $peer "${operator_args[@]}")" 0 "an operator gets nothing at the peer door"
like "$(<"$scratch/tls")" 'alert unknown ca' "since another authority signed him"
is "$(greeting "$one" $control "${node_args[@]}")" 0 "a node gets nothing at the control door"
like "$(<"$scratch/tls")" 'alert unknown ca' "since another authority signed it"

# --- operators ---

certificate operator late "$scratch/late" '3 days ago' '1 day ago'
other_home late "$scratch/late"
refused "$home" 'our own certificate \(late\).*expired on' "expired operator"
certificate operator early "$scratch/early" '+1 day' '+3 days'
other_home early "$scratch/early"
refused "$home" 'our own certificate \(early\).*not valid before' "operator from the future"

other_home node "$node/node"
cp "$node/node.crt" "$home/pki/operator.crt"
refused "$home" 'our own certificate \(spark2\): signed by another authority' \
	"a node at the control door"

other_home door
sed -i "s/^control_port: .*/control_port: $peer/" "$home"/nodes/*.yaml
refused "$home" 'signed by an authority that it does not trust' "an operator at the peer door"

# Another cluster's operator: whole in itself, so only the other side can object.
other_home foreign
cp "$fresh"/home/pki/operator* "$home/pki/"
refused "$home" 'signed by an authority that it does not trust' "another cluster's operator"
other_home foreign-node
cp "$fresh"/home/pki/node-ca.crt "$fresh"/home/pki/node-ca.crl "$home/pki/"
refused "$home" 'it presents a certificate \(spark1\).*another authority' "another cluster's node"

# --- nodes ---

other_home swapped
sed -i "s/^address: .*/address: \"$two\"/" "$home/nodes/spark1.yaml"
run_expect 3 "spark1 at spark2's address" as "$home" sparkbus status
like "$out" 'it is node "spark2", not "spark1"' "is told apart by its name"
run_expect 3 "a launch there" as "$home" sparkbus run "$recipe" --no-follow
like "$err" 'it is node "spark2", not "spark1"' "says so"
is "$(containers)" 0 "and starts nothing"

certificate node spark2 "$scratch/old" '3 days ago' '1 day ago'
mkdir "$scratch/good"
cp "$node"/* "$scratch/good/"
cp "$scratch/old.crt" "$node/node.crt"
cp "$scratch/old.key" "$node/node.key"
node_agent spark2 restart
run_expect 3 "a node whose certificate expired" sparkbus status
like "$out" 'spark2.*expired on' "is named, with the reason"
like "$out" 'spark1' "and the other is seen"
run_expect 3 "a launch with it" sparkbus run "$recipe" --no-follow
like "$err" 'spark2.*expired on' "is refused"
is "$(containers)" 0 "and starts nothing"
like "$(<"$tb/spark2/agent.log")" 'identity.bad.*expired' "the node's own log says it, too"
cp "$scratch"/good/node.{crt,key} "$node/"
node_agent spark2 restart
run_expect 0 "with its own certificate again" sparkbus status

# --- revoked operator ---

certificate operator mallory "$scratch/mallory" '1 hour ago' '+3 days'
other_home mallory "$scratch/mallory"
mallory=$home
run_expect 0 "mallory is an operator" as "$mallory" sparkbus status
mkfifo "$scratch/hold"
openssl s_client -quiet -connect "$one:$control" -cert "$scratch/mallory.crt" \
	-key "$scratch/mallory.key" >"$scratch/held" 2>/dev/null <"$scratch/hold" &
held=$!
exec 7>"$scratch/hold"
greeted() { [ "$(wc -c <"$scratch/held")" = 8 ]; }
wait_until 10 "mallory holds a connection" greeted
openssl ca -config "$scratch/ca-operator/cnf" -revoke "$scratch/mallory.crt" 2>>"$scratch/openssl"
openssl ca -config "$scratch/ca-operator/cnf" -gencrl -crlexts crl -out "$scratch/new.crl" \
	2>>"$scratch/openssl"
cp "$pki/operator-ca.crl" "$scratch/old.crl"
cp "$scratch/new.crl" "$pki/operator-ca.crl"
agent_pids() { cat "$tb"/spark*/agent.pid | tr '\n' ' '; }
before=$(agent_pids)
run_expect 0 "the list goes to all nodes" sparkbus node push-crl
is "$(grep -c 'done' <<<"$out")" 2 "and both use it"
hung_up() { ! kill -0 $held; }
wait_until 10 "the connection that he held is cut" hung_up
exec 7>&-
refused "$mallory" 'our certificate is revoked there' "revoked operator"
run_expect 0 "others go on" sparkbus status
cp "$scratch/old.crl" "$pki/operator-ca.crl"
run_expect 1 "an older list does not come back" sparkbus node push-crl
cp "$scratch/new.crl" "$pki/operator-ca.crl"
refused "$mallory" 'revoked' "still revoked"

# --- revoked node ---

other_home stale
run_expect 0 "revoke spark2" sparkbus node revoke spark2 --force
like "$out" 'spark1: done \(uses list 2\)' "spark1 uses the new list"
is "$(agent_pids)" "$before" "no agent was restarted"
turned_away() { [ "$(greeting "$one" $peer "${node_args[@]}")" = 0 ]; }
wait_until 10 "spark1 gives the revoked node nothing" turned_away
like "$(<"$scratch/tls")" 'alert certificate revoked' "because it is revoked"
run sparkbus run "$recipe" --no-follow
unlike "$rc" '^0$' "a launch with it is refused"
like "$err" 'spark2.*revoked' "by its name"
is "$(containers)" 0 "and starts nothing"
# An operator who has not heard of it reaches both nodes; the leader will not.
run_expect 1 "a launch by an operator with the old list" as "$home" sparkbus run "$recipe" --no-follow
like "$err" 'rank 1 \(spark2\) could not be started.*that we refuse: revoked' "is refused by the leader"
is "$(containers)" 0 "and leaves nothing"
node_agent spark1 restart
is "$(greeting "$one" $peer "${node_args[@]}")" 0 "also after spark1's agent started anew"

# A certificate for another name is not taken up by an agent that runs.
certificate node spark9 "$scratch/nine" '1 hour ago' '+3 days'
cp "$scratch/nine.crt" "$tb/spark1/identity/node.crt"
cp "$scratch/nine.key" "$tb/spark1/identity/node.key"
kill -HUP "$(<"$tb/spark1/agent.pid")"
complained() { grep -q 'certificate is for node spark9.*kept=old' "$tb/spark1/agent.log"; }
wait_until 10 "SIGHUP with another node's certificate is refused" complained
run_expect 0 "the agent is spark1 still" sparkbus node show spark1
done_testing
