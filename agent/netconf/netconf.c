/* netconf.c - set, and put back unless it is confirmed.
 *
 * Two files in the state folder hold what was there: network.undo before the change that waits to
 * be confirmed, network.first before the first change of all, for --revert. The undo is on disk
 * before anything changes and goes when it is no longer needed, so that wherever the agent or the
 * machine ends, the next start knows whether there is something to put back. */
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_fs.h"
#include "sb_loop.h"

#define UNDO_MAX_BYTES ((size_t)16 << 20)

typedef Sparkbus__NetworkUndo undo_t;

struct sb_netconf {
	struct sb_netconf_env env;
	char *undo_path, *first_path;
	sd_event_source *timer;
	undo_t *undo; /* of the change that waits; NULL = none does */
};

void sb_netconf_setting_done(Sparkbus__InterfaceSetting *s)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		free(s->addresses[i]);
	free(s->addresses);
	if (s->name != protobuf_c_empty_string)
		free(s->name);
	sparkbus__interface_setting__init(s);
}

static void undo_free(undo_t *undo)
{
	if (undo)
		sparkbus__network_undo__free_unpacked(undo, NULL);
}
SB_DEFINE_CLEANUP(undo_free, undo_t *)

static void say(struct sb_netconf *n, const char *kind, const char *text)
{
	if (n->env.say)
		n->env.say(n->env.ctx, kind, text);
}

/* --- what is there --- */

static int read_all(struct sb_netconf *n, Sparkbus__InterfaceSetting *const *names, size_t count,
		Sparkbus__InterfaceSetting ***ret, size_t *ret_n, struct sb_err *err)
{
	int rc = 0;

	*ret = calloc(count + 1, sizeof(**ret));
	if (!*ret)
		return sb_err_nomem(err);
	for (size_t i = 0; i < count && rc == 0; i++) {
		Sparkbus__InterfaceSetting *setting = malloc(sizeof(*setting));

		if (!setting)
			return sb_err_nomem(err);
		sparkbus__interface_setting__init(setting);
		(*ret)[(*ret_n)++] = setting;
		rc = n->env.ops->read(names[i]->name, setting, err);
	}
	return rc;
}

/* Interfaces and files as they are now. */
static int take_undo(struct sb_netconf *n, Sparkbus__InterfaceSetting *const *names, size_t count,
		Sparkbus__ConfigFile *const *files, size_t n_files, undo_t **ret,
		struct sb_err *err)
{
	SB_CLEANUP(undo_freep) undo_t *undo = malloc(sizeof(*undo));
	int rc;

	if (!undo)
		return sb_err_nomem(err);
	sparkbus__network_undo__init(undo);
	rc = read_all(n, names, count, &undo->interfaces, &undo->n_interfaces, err);
	undo->files = calloc(n_files + 1, sizeof(*undo->files));
	if (!undo->files)
		rc = sb_err_nomem(err);
	for (size_t i = 0; i < n_files && rc == 0; i++) {
		rc = netconf_file_read(files[i]->path, &undo->files[i], err);
		undo->n_files += undo->files[i] != NULL;
	}
	if (rc == 0)
		*ret = sb_steal(undo);
	return rc;
}

static int save(const char *path, const undo_t *undo, struct sb_err *err)
{
	size_t len = sparkbus__network_undo__get_packed_size(undo);
	SB_CLEANUP(sb_freep) uint8_t *data = malloc(len + 1);

	if (!data)
		return sb_err_nomem(err);
	sparkbus__network_undo__pack(undo, data);
	return sb_fs_write(path, data, len, 0600, err);
}

/* *@ret NULL when there is none. */
static int load(const char *path, undo_t **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	int rc = sb_fs_read(path, UNDO_MAX_BYTES, &text, err);

	if (rc < 0)
		return rc == -SB_E_NOT_FOUND ? 0 : rc;
	*ret = sparkbus__network_undo__unpack(
			NULL, text.len, (const uint8_t *)sb_strbuf_str(&text));
	return *ret ? 0 : sb_err_set(err, SB_E_PROTOCOL, "%s cannot be read", path);
}

/* --- putting into effect --- */

/* All of it is tried, whatever fails. Return: the first error. */
static int put(struct sb_netconf *n, const undo_t *state, struct sb_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < state->n_files; i++) {
		int one = netconf_file_write(state->files[i], rc ? NULL : err);

		rc = rc ? rc : one;
	}
	for (size_t i = 0; i < state->n_interfaces; i++) {
		int one = n->env.ops->apply(state->interfaces[i], rc ? NULL : err);

		rc = rc ? rc : one;
	}
	return rc;
}

static int roll_back(struct sb_netconf *n, const char *why, struct sb_err *err)
{
	char text[SB_ERR_TEXT_MAX + 128];
	int rc = put(n, n->undo, err);

	snprintf(text, sizeof(text), "%s; %s", why, rc < 0 ? err->text : "what was there is back");
	say(n, rc < 0 ? "network.failed" : "network.rolled_back", text);
	if (rc < 0)
		return rc; /* the file stays: the next start tries again */
	sd_event_source_disable_unref(sb_steal(n->timer));
	undo_free(sb_steal(n->undo));
	return sb_fs_remove(n->undo_path, err);
}

static int on_late(sd_event_source *source, uint64_t usec, void *ctx)
{
	struct sb_err err = SB_ERR_INIT;

	roll_back(ctx, "nobody confirmed the network settings in time", &err);
	return 0;
}

/* --- life --- */

int sb_netconf_new(const struct sb_netconf_env *env, struct sb_netconf **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_netconf_freep) struct sb_netconf *n = calloc(1, sizeof(*n));
	struct sb_err why = SB_ERR_INIT;

	if (!n)
		return sb_err_nomem(err);
	n->env = *env;
	sd_event_ref(n->env.loop);
	n->undo_path = sb_fs_join(env->state_dir, "network.undo");
	n->first_path = sb_fs_join(env->state_dir, "network.first");
	if (!n->undo_path || !n->first_path)
		return sb_err_nomem(err);
	/* An agent must come up all the same: it is how the node is reached. */
	if (load(n->undo_path, &n->undo, &why) < 0)
		say(n, "network.failed", why.text);
	else if (n->undo)
		roll_back(n, "the agent ended before the network settings were confirmed", &why);
	*ret = sb_steal(n);
	return 0;
}

void sb_netconf_free(struct sb_netconf *n)
{
	if (!n)
		return;
	sd_event_source_disable_unref(n->timer);
	undo_free(n->undo);
	free(n->undo_path);
	free(n->first_path);
	sd_event_unref(n->env.loop);
	free(n);
}

/* --- set --- */

static int check_interface(
		const Sparkbus__InterfaceSetting *s, const char *management, struct sb_err *err)
{
	uint32_t ip;
	unsigned prefix;

	if (!*s->name || strlen(s->name) >= IF_NAMESIZE || strpbrk(s->name, "/ \t\n:\"'[]{}#%"))
		return sb_err_set(err, SB_E_INVALID, "interface '%s': expected a name", s->name);
	if (strcmp(s->name, management) == 0)
		return sb_err_set(err, SB_E_INVALID,
				"%s is the management interface, which is not touched", s->name);
	if (s->mtu && (s->mtu < 1280 || s->mtu > 9978))
		return sb_err_set(err, SB_E_RANGE, "%s: MTU %u; expected 1280 to 9978", s->name,
				s->mtu);
	for (size_t i = 0; i < s->n_addresses; i++)
		if (!netconf_parse(s->addresses[i], &ip, &prefix))
			return sb_err_set(err, SB_E_INVALID,
					"%s: '%s': expected an address as 192.168.100.11/24",
					s->name, s->addresses[i]);
	return 0;
}

static int check(struct sb_netconf *n, const Sparkbus__SetNetworkRequest *r, const char *management,
		struct sb_err *err)
{
	int rc = 0;

	if (n->undo && !r->dry_run)
		return sb_err_set(err, SB_E_BUSY,
				"settings that nobody has confirmed yet are in effect");
	if (!r->dry_run &&
			(r->confirm_ms < SB_NETCONF_CONFIRM_MIN_MS ||
					r->confirm_ms > SB_NETCONF_CONFIRM_MAX_MS))
		return sb_err_set(err, SB_E_RANGE, "%u ms to confirm; expected %u to %u",
				r->confirm_ms, SB_NETCONF_CONFIRM_MIN_MS,
				SB_NETCONF_CONFIRM_MAX_MS);
	if (!r->revert && (!r->n_interfaces || r->n_interfaces > SB_NETCONF_INTERFACES_MAX))
		return sb_err_set(err, SB_E_RANGE, "%zu interfaces; expected 1 to %u",
				r->n_interfaces, SB_NETCONF_INTERFACES_MAX);
	for (size_t i = 0; i < r->n_interfaces && rc == 0; i++)
		rc = check_interface(r->interfaces[i], management, err);
	return rc;
}

/* What is to be: from the request, or what there was before all of this. */
static int wanted(struct sb_netconf *n, const Sparkbus__SetNetworkRequest *r, enum backend backend,
		undo_t **ret, struct sb_err *err)
{
	SB_CLEANUP(undo_freep) undo_t *want = NULL;
	int rc = r->revert ? load(n->first_path, &want, err) : 0;

	if (rc < 0)
		return rc;
	if (r->revert && !want)
		return sb_err_set(err, SB_E_NOT_FOUND,
				"nothing to revert: this node was not configured by sparkbus");
	if (!want) {
		Sparkbus__NetworkUndo view = SPARKBUS__NETWORK_UNDO__INIT;
		SB_CLEANUP(sb_freep) uint8_t *data = NULL;
		size_t len;

		view.interfaces = r->interfaces;
		view.n_interfaces = r->n_interfaces;
		len = sparkbus__network_undo__get_packed_size(&view);
		data = malloc(len + 1);
		if (!data)
			return sb_err_nomem(err);
		sparkbus__network_undo__pack(&view, data);
		want = sparkbus__network_undo__unpack(NULL, len, data);
		if (!want ||
				netconf_files(backend, n->env.root, want->interfaces,
						want->n_interfaces, &want->files,
						&want->n_files) < 0)
			return sb_err_nomem(err);
	}
	*ret = sb_steal(want);
	return 0;
}

static void add_warnings(struct sb_netconf *n, enum backend backend, const undo_t *want,
		Sparkbus__SetNetworkReply *reply)
{
	reply->warnings = calloc(want->n_interfaces + 1, sizeof(*reply->warnings));
	for (size_t i = 0; reply->warnings && i < want->n_interfaces; i++) {
		const char *name = want->interfaces[i]->name;
		SB_CLEANUP(sb_freep) char *rival = netconf_rival(backend, n->env.root, name);
		char *text = NULL;

		if (rival &&
				asprintf(&text,
						"%s speaks of %s, too: at the next boot its "
						"addresses "
						"are added to these",
						rival, name) >= 0)
			reply->warnings[reply->n_warnings++] = text;
	}
}

/* Read back: does every interface have what it should? */
static bool holds(const Sparkbus__InterfaceSetting *want, const Sparkbus__InterfaceSetting *now)
{
	if (want->n_addresses != now->n_addresses || (want->mtu && want->mtu != now->mtu))
		return false;
	for (size_t i = 0; i < want->n_addresses; i++) {
		bool found = false;

		for (size_t k = 0; k < now->n_addresses; k++)
			found = found || strcmp(want->addresses[i], now->addresses[k]) == 0;
		if (!found)
			return false;
	}
	return true;
}

/* What there was before the first change of each interface and file. */
static int remember(struct sb_netconf *n, const undo_t *now, struct sb_err *err)
{
	SB_CLEANUP(undo_freep) undo_t *first = NULL;
	Sparkbus__NetworkUndo all = SPARKBUS__NETWORK_UNDO__INIT;
	SB_CLEANUP(sb_freep) Sparkbus__InterfaceSetting **interfaces = NULL;
	SB_CLEANUP(sb_freep) Sparkbus__ConfigFile **files = NULL;
	int rc = load(n->first_path, &first, err);
	size_t known_i = first ? first->n_interfaces : 0, known_f = first ? first->n_files : 0;

	if (rc < 0)
		return rc;
	interfaces = calloc(known_i + now->n_interfaces + 1, sizeof(*interfaces));
	files = calloc(known_f + now->n_files + 1, sizeof(*files));
	if (!interfaces || !files)
		return sb_err_nomem(err);
	all.interfaces = interfaces;
	all.files = files;
	for (size_t i = 0; i < known_i; i++)
		interfaces[all.n_interfaces++] = first->interfaces[i];
	for (size_t i = 0; i < known_f; i++)
		files[all.n_files++] = first->files[i];
	for (size_t i = 0; i < now->n_interfaces; i++) {
		size_t k = 0;

		while (k < known_i && strcmp(interfaces[k]->name, now->interfaces[i]->name) != 0)
			k++;
		if (k == known_i)
			interfaces[all.n_interfaces++] = now->interfaces[i];
	}
	for (size_t i = 0; i < now->n_files; i++) {
		size_t k = 0;

		while (k < known_f && strcmp(files[k]->path, now->files[i]->path) != 0)
			k++;
		if (k == known_f)
			files[all.n_files++] = now->files[i];
	}
	return save(n->first_path, &all, err);
}

static int change(struct sb_netconf *n, const undo_t *want, uint32_t confirm_ms, struct sb_err *err)
{
	struct sb_err second = SB_ERR_INIT;
	int rc = save(n->undo_path, n->undo, err);

	if (rc == 0)
		rc = remember(n, n->undo, err);
	if (rc == 0)
		rc = sb_timer_once(n->env.loop, &n->timer, confirm_ms, on_late, n, err);
	if (rc < 0) { /* nothing has changed yet */
		undo_free(sb_steal(n->undo));
		sb_fs_remove(n->undo_path, NULL);
		return rc;
	}
	rc = put(n, want, err);
	if (rc < 0)
		roll_back(n, "the network settings could not be made", &second);
	return rc;
}

static void report(Sparkbus__SetNetworkReply *reply, const undo_t *want)
{
	reply->outcome = SPARKBUS__OUTCOME__OUTCOME_DONE;
	for (size_t i = 0; i < want->n_interfaces; i++)
		if (i >= reply->n_now || !holds(want->interfaces[i], reply->now[i]))
			reply->outcome = SPARKBUS__OUTCOME__OUTCOME_FAILED;
}

static void free_reply(Sparkbus__SetNetworkReply *reply)
{
	if (reply)
		sparkbus__set_network_reply__free_unpacked(reply, NULL);
}
SB_DEFINE_CLEANUP(free_reply, Sparkbus__SetNetworkReply *)

int sb_netconf_set(struct sb_netconf *n, const Sparkbus__SetNetworkRequest *r,
		const char *management, Sparkbus__SetNetworkReply **ret, struct sb_err *err)
{
	enum backend backend = netconf_backend(n->env.backend, n->env.root);
	SB_CLEANUP(undo_freep) undo_t *want = NULL, *before = NULL;
	SB_CLEANUP(free_replyp) Sparkbus__SetNetworkReply *reply = calloc(1, sizeof(*reply));
	int rc = reply ? check(n, r, management, err) : sb_err_nomem(err);

	if (reply)
		sparkbus__set_network_reply__init(reply);
	if (rc == 0)
		rc = wanted(n, r, backend, &want, err);
	if (rc == 0)
		rc = take_undo(n, want->interfaces, want->n_interfaces, want->files, want->n_files,
				&before, err);
	if (rc < 0)
		return rc;
	reply->backend = strdup(netconf_backend_name(backend));
	add_warnings(n, backend, want, reply);
	if (!r->dry_run) {
		n->undo = sb_steal(before);
		rc = change(n, want, r->confirm_ms, err);
		if (rc < 0)
			return rc;
		rc = read_all(n, want->interfaces, want->n_interfaces, &reply->now, &reply->n_now,
				err);
		report(reply, want);
	} else {
		reply->before = sb_steal(before->interfaces);
		reply->n_before = before->n_interfaces;
		before->n_interfaces = 0;
	}
	reply->files = sb_steal(want->files);
	reply->n_files = want->n_files;
	want->n_files = 0;
	if (!reply->backend)
		return sb_err_nomem(err);
	*ret = sb_steal(reply);
	return rc;
}

/* --- confirm --- */

int sb_netconf_confirm(struct sb_netconf *n, bool back, Sparkbus__ConfirmNetworkReply **ret,
		struct sb_err *err)
{
	Sparkbus__ConfirmNetworkReply *reply = malloc(sizeof(*reply));
	int rc = 0;

	if (!reply)
		return sb_err_nomem(err);
	sparkbus__confirm_network_reply__init(reply);
	reply->was_pending = n->undo != NULL;
	if (n->undo && back) {
		rc = roll_back(n, "an operator asked", err);
	} else if (n->undo) {
		rc = sb_fs_remove(n->undo_path, err);
		if (rc == 0) {
			sd_event_source_disable_unref(sb_steal(n->timer));
			undo_free(sb_steal(n->undo));
			say(n, "network.confirmed", "the network settings stay");
		}
	}
	if (rc < 0) {
		sparkbus__confirm_network_reply__free_unpacked(reply, NULL);
		return rc;
	}
	reply->outcome = reply->was_pending ? SPARKBUS__OUTCOME__OUTCOME_DONE
					    : SPARKBUS__OUTCOME__OUTCOME_FAILED;
	*ret = reply;
	return 0;
}
