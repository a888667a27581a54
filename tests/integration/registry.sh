#!/usr/bin/env bash
# Registries from a real server: git's own over HTTP on loopback. What is fetched, what is not, what
# an update that is killed or fails leaves, whose recipes may act here, and recipes at an address.
. "$(dirname "$0")/../testbed/lib.sh"

testbed_up 1 --image sim:1
export SPARKBUS_CACHE=$scratch/cache GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
here=$scratch/here repos=$scratch/repos www=$scratch/www log=$scratch/requests server=''
mkdir -p "$here" "$repos" "$www/cgi-bin" "$www/recipes"
cd "$here" || exit 1

# --- a server ---

# git's program behind busybox, which does not tell the scripts all that it should. While the file
# "hold" is there a request for a pack waits, and makes the file that it names.
serve()
{
	cat >"$www/cgi-bin/git" <<-CGI
		#!/bin/sh
		echo "\$REQUEST_METHOD \$PATH_INFO" >>"$log"
		case \$PATH_INFO in *git-upload-pack)
			mark=\$(cat "$scratch/hold" 2>/dev/null)
			while [ -e "$scratch/hold" ]; do : >"\$mark"; sleep 0.05; done ;;
		esac
		unset HTTP_GIT_PROTOCOL GIT_PROTOCOL # the newer one has questions and packs at one path
		export GIT_PROJECT_ROOT="$repos" GIT_HTTP_EXPORT_ALL=1
		exec git http-backend
	CGI
	cat >"$www/cgi-bin/go" <<-'CGI'
		#!/bin/sh
		printf 'Status: 302 Found\r\nLocation: %s\r\n\r\n' "$QUERY_STRING"
	CGI
	chmod +x "$www/cgi-bin/git" "$www/cgi-bin/go"
	local try
	for try in 1 2 3 4 5 6 7 8; do
		port=$((20000 + (RANDOM + try) % 20000))
		busybox httpd -f -p 127.0.0.1:$port -h "$www" 2>/dev/null &
		server=$!
		until curl -sf -o /dev/null "http://127.0.0.1:$port/cgi-bin/go"; do
			kill -0 $server 2>/dev/null || break
			sleep 0.05
		done
		kill -0 $server 2>/dev/null && return
	done
	echo 'Bail out! no server'
	exit 1
}
leave()
{
	[ -z "$server" ] || kill "$server" 2>/dev/null
	tap_exit
}
trap leave EXIT

commit() { (cd "$repos/$1" && git add -A && git commit -qm "$2"); }
recipe() # FILE [LINES]
{
	mkdir -p "$(dirname "$1")"
	printf 'model: example/model\nruntime: vllm\ncontainer: sim:1\ndefaults: {port: 8000, host: 0.0.0.0}\n%s\n%s\n' \
		'executor_config: {gpus: "", ulimit: [], devices: []}' "${2:-}" >"$1"
}
json() { jq -r "$1" <<<"$out"; }
copies() { find "$SPARKBUS_CACHE/registries" -mindepth 2 -maxdepth 2 -name "$1" | wc -l; }

serve
base=http://127.0.0.1:$port
git init -q -b main "$repos/one"
mkdir -p "$repos/one/.sparkrun"
cat >"$repos/one/.sparkrun/registry.yaml" <<'MANIFEST'
registries:
  - {name: first, description: "plain ones", recipes: recipes, mods: mods, benchmarks: bench}
  - {name: second, recipes: hidden, visible: false}
  - {name: official, recipes: recipes}
MANIFEST
recipe "$repos/one/recipes/alpha.yaml"
recipe "$repos/one/recipes/deep/beta.yaml"
recipe "$repos/one/hidden/gamma.yaml"
recipe "$repos/one/recipes/acting.yaml" "post_commands: [\"echo acted >> $scratch/acted\"]
stop_after_post: true"
recipe "$repos/one/recipes/modded.yaml" 'mods: [marker]'
mkdir -p "$repos/one/mods/marker" "$repos/one/bench"
printf '#!/bin/sh\necho marked\n' >"$repos/one/mods/marker/run.sh"
printf 'framework: llama-benchy\nargs: {pp: [16]}\n' >"$repos/one/bench/quick.yaml"
echo 'model: [unclosed' >"$repos/one/recipes/broken.yaml"
commit one first

# --- before anything ---

run_expect 0 "the list without a file" sparkbus registry list
like "$out" 'official +none +yes +no' "is the built-in one"
like "$out" 'Nothing has been fetched' "says that nothing was fetched"
like "$out" 'None is trusted' "and that none is trusted"
is "$(find "$SPARKBUS_CACHE" 2>/dev/null | wc -l)" 0 "and nothing was"
run_expect 0 "only what is needed here" sparkbus registry revert-to-defaults --force
for name in sparkrun-testing official eugr sparkrun-transitional experimental community atlas; do
	sparkbus registry disable $name >/dev/null || not_ok "disable $name"
done

# --- adding ---

run_expect 0 "add" sparkbus registry add "$base/cgi-bin/git/one"
like "$out" 'Added 2 registries' "takes what the manifest has"
like "$out" 'first - plain ones' "with its words"
like "$out" 'second \(hidden\)' "and says what is hidden"
like "$err" "'official' is a name of somebody else's" "but no name of somebody else"
like "$out" 'first: [0-9a-f]{10}, fetched' "and fetches"
is "$(find "$SPARKBUS_CACHE" -name .git | wc -l)" 0 "no git folder is left"
is "$(copies 'fetch-*')" 0 "nor a scratch folder"
run_expect 0 "add again" sparkbus registry add "$base/cgi-bin/git/one"
like "$out" 'No new registries' "adds nothing"
run_expect 1 "an option for an address" sparkbus registry add -- --upload-pack=x
like "$err" 'begins like an option' "is refused"
run_expect 1 "http elsewhere" sparkbus registry add http://192.0.2.1/r
run_expect 1 "a folder of this disk" sparkbus registry add "$repos/one"
like "$err" '--allow-file' "needs leave"
git init -q "$repos/bare-words"
echo x >"$repos/bare-words/x"
commit bare-words x
run_expect 1 "a repository without a manifest" sparkbus registry add "$repos/bare-words" --allow-file
like "$err" 'no registry of recipes' "is none"

# --- lists ---

run_expect 0 "list" sparkbus list --json
is "$(json '[.recipes[] | select(.registry == "first").name] | join(" ")')" \
	"@first/acting @first/alpha @first/beta @first/modded" "the visible recipes"
is "$(json '[.bad[] | select(.registry == "first").name] | join(" ")')" @first/broken "a broken one is told"
like "$(json '.bad[].error')" 'broken.yaml:[0-9]+:[0-9]+: ' "with its place"
run_expect 0 "list again, from the index" sparkbus list --json
is "$(json '[.bad[] | select(.registry == "first").error] | length')" 1 "says the same"
run_expect 0 "--all" sparkbus list --all --json
is "$(json '[.recipes[] | select(.registry == "second").name] | join(" ")')" @second/gamma "has the hidden ones"
run_expect 0 "--registry" sparkbus list --registry second --json
is "$(json '[.recipes[].name] | join(" ")')" @second/gamma "so has their registry"
run_expect 0 "search" sparkbus search BETA
like "$out" '@first/beta' "finds in copies"
run_expect 0 "completion" sparkbus complete show @
like "$out" '@second/gamma' "completes hidden ones by their registry"
run_expect 0 "completion of a stem" sparkbus complete show al
like "$out" '^alpha$' "completes visible ones"
run_expect 0 "profiles" sparkbus registry list-benchmark-profiles
like "$out" '@first/quick +first +llama-benchy' "are listed"
run_expect 0 "a profile" sparkbus registry show-benchmark-profile quick
like "$out" 'pp: \[16\]' "is shown"

# --- names ---

run_expect 0 "a name" sparkbus show alpha --no-vram
like "$out" 'From: +registry first \(not trusted\), .*/recipes/alpha.yaml' "is found, and says whose it is"
run_expect 0 "a hidden one by its registry" sparkbus show @second/gamma --no-vram
run_expect 1 "a hidden one without" sparkbus show gamma --no-vram
run_expect 1 "a registry that is not there" sparkbus show @frist/alpha
like "$err" "Did you mean '@first/alpha'" "names the near one"
run_expect 1 "one that was not fetched" sparkbus show @official/qwen-nowhere
like "$err" 'sparkbus registry enable official' "says how to get it"
git init -q -b main "$repos/two"
mkdir -p "$repos/two/.sparkrun"
echo 'registries: [{name: other}]' >"$repos/two/.sparkrun/registry.yaml"
recipe "$repos/two/recipes/alpha.yaml"
commit two first
run_expect 0 "another registry" sparkbus registry add "$base/cgi-bin/git/two"
run_expect 1 "a name of both" sparkbus show alpha
like "$err" 'several places: @first/alpha, @other/alpha' "is ambiguous, and names both"
run_expect 0 "with its registry" sparkbus show @other/alpha --no-vram
run_expect 0 "remove" sparkbus registry remove other
run_expect 0 "then the name is the first's" sparkbus show alpha --no-vram
is "$(copies current)" 1 "and its copy is gone"

# --- updates ---

: >"$log"
run_expect 0 "update without news" sparkbus registry update
like "$out" 'first: .*nothing new' "says so"
is "$(grep -c git-upload-pack "$log")" 0 "and fetches nothing"
echo '# new' >>"$repos/one/recipes/alpha.yaml"
commit one second
echo "$scratch/held" >"$scratch/hold"
sparkbus registry update >"$scratch/out1" 2>&1 &
update=$!
wait_until 30 "an update is under way" test -e "$scratch/held"
kill -9 $update
wait $update 2>/dev/null
run_expect 0 "when it is killed" sparkbus show alpha --no-vram
unlike "$(cat "$SPARKBUS_CACHE"/registries/_url_*/current/recipes/alpha.yaml)" '# new' \
	"the old copy stays in use"
echo "$scratch/held2" >"$scratch/hold"
sparkbus registry update >"$scratch/out2" 2>&1 &
update=$!
wait_until 30 "another is under way" test -e "$scratch/held2"
kill -INT $update
wait $update
is $? 130 "Ctrl-C ends it"
rm "$scratch/hold"
run_expect 0 "the next update" sparkbus registry update first
like "$out" 'first: .*updated' "brings it"
is "$(copies 'fetch-*')" 0 "and sweeps what the others left"
like "$(cat "$SPARKBUS_CACHE"/registries/_url_*/current/recipes/alpha.yaml)" '# new' "the new copy is in use"
run_expect 0 "two at a time" sh -c 'sparkbus registry update & sparkbus registry update; wait $!'
mv "$repos/one" "$repos/away"
run_expect 1 "a repository that is gone" sparkbus registry update --json
is "$(json '.registries[0].outcome')" failed "is a failure"
run_expect 0 "whose copy" sparkbus show alpha --no-vram
mv "$repos/away" "$repos/one"

# --- who may act here ---

run_expect 1 "a recipe that acts here, of a registry that is not trusted" \
	sparkbus run acting --hosts spark1 --no-follow
like "$err" 'registry first \(not trusted\)' "is refused without a terminal"
like "$err" "echo acted >> $scratch/acted" "after it was shown"
is "$(cat "$scratch/acted" 2>/dev/null)" '' "and does not act"
path=$(echo "$SPARKBUS_CACHE"/registries/_url_*/current/recipes/acting.yaml)
run_expect 1 "the same by its path" sparkbus run "$path" --hosts spark1 --no-follow
like "$err" 'registry first \(not trusted\)' "is the same"
run_expect 0 "trust" sparkbus registry trust first
run_expect 0 "then it runs" sparkbus run acting --hosts spark1 --no-follow
is "$(cat "$scratch/acted" 2>/dev/null)" acted "and acts"
run_expect 0 "a mod of the registry" sparkbus run modded --hosts spark1 --dry-run
like "$out" 'mods\[0\], copy to /workspace/mods/marker' "is found in its mods folder"
recipe scoped.yaml 'mods: ["@first/marker"]'
run_expect 0 "a mod with its registry's name" sparkbus run scoped --hosts spark1 --dry-run
like "$out" 'mods\[0\], copy to /workspace/mods/marker' "is found there"
recipe lost.yaml 'mods: [mods/marker]'
run_expect 1 "one without" sparkbus run lost --hosts spark1 --dry-run
like "$err" 'lost.yaml:6:8: mod .mods/marker. was not found: tried .*registry eugr is disabled' \
	"is not, and it is said where it was looked for"
sed -i "/^- name: eugr/,/^- name: s/{s,url: .*,url: $base/cgi-bin/git/one,;s,enabled: false,visible: false,}" \
	"$SPARKBUS_HOME/registries.yaml"
run_expect 0 "the registry of mods for others" sparkbus registry update eugr
run_expect 0 "has it" sparkbus run lost --hosts spark1 --dry-run
like "$out" 'mods\[0\], copy to /workspace/mods/marker' "then"
rm lost.yaml scoped.yaml
run_expect 0 "untrust" sparkbus registry untrust first
run_expect 1 "then it asks again" sparkbus run acting --hosts spark1 --no-follow

# --- recipes at an address ---

cp "$repos/one/recipes/acting.yaml" "$www/recipes/far.yaml"
run_expect 0 "a recipe at an address" sparkbus show "$base/recipes/far.yaml" --no-vram
like "$out" "From: +$base/recipes/far.yaml" "says where it is from"
run_expect 1 "one that acts here" sparkbus run "$base/recipes/far.yaml" --hosts spark1 --no-follow
like "$err" "from $base/recipes/far.yaml may not act on this machine" "is never trusted"
file=$(echo "$SPARKBUS_CACHE"/remote-recipes/*.yaml)
run_expect 1 "nor by the path of its copy" sparkbus run "$file" --hosts spark1 --no-follow
like "$err" 'may not act on this machine' "for the same reason"
run_expect 1 "one that is not there" sparkbus show "$base/recipes/none.yaml"
like "$err" 'no such recipe \(HTTP 404\)' "says so"
run_expect 1 "http elsewhere" sparkbus show http://192.0.2.1/r.yaml
run_expect 1 "a way on to http" sparkbus show "$base/cgi-bin/go?$base/recipes/far.yaml"
like "$err" 'leads on to where it may not' "is not followed"
head -c 2000000 /dev/zero | tr '\0' 'x' >"$www/recipes/big.yaml"
run_expect 1 "one that has no end" sparkbus show "$base/recipes/big.yaml"
like "$err" 'more than 1048576 bytes' "has one"
run_expect 0 "a save" sparkbus show "$base/recipes/far.yaml" --save "$scratch/saved.yaml" --no-vram
cmp -s "$scratch/saved.yaml" "$www/recipes/far.yaml" && ok "is the file" || not_ok "is the file"
kill $server
wait $server 2>/dev/null
server=''
run_expect 0 "without the server" sparkbus show "$base/recipes/far.yaml" --no-vram
like "$err" 'this is the copy of 20' "the older copy is used, and said to be one"
run_expect 1 "an update" sparkbus registry update
like "$out" 'FAILED.*stays in use' "fails and leaves the copy"

cd / || exit 1
done_testing
