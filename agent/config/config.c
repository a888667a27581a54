#include <arpa/inet.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "config_parse.h"
#include "sb_config.h"
#include "sb_guard.h"
#include "sb_log.h"
#include "sb_yaml.h"

/* One table says what the file may hold. Sections are the part of a path before the dot; nothing
 * else knows their names. */

#define LOG_BYTES_MIN   ((uint64_t)256 << 10)
#define LOG_BYTES_MAX   ((uint64_t)64 << 30)
#define ENDED_KEPT_MAX  2048u /* well below what the job store holds */
#define GUARD_BYTES_MIN ((uint64_t)1 << 20)
#define GUARD_BYTES_MAX ((uint64_t)1 << 40)
#define HINT_DISTANCE   3u /* a key this near is worth a "did you mean" */

struct key {
	const char *path;
	int (*set)(const struct key *key, const struct sb_yaml_doc *doc,
			const struct sb_yaml_node *value, void *field, struct sb_err *err);
	size_t offset;
	uint64_t min, max;
};

/* Read before the file, by the same code. models.hf_cache is looked for on the machine. */
static const char defaults[] = "identity_dir: /etc/sparkbus/identity\n"
			       "state_dir: /var/lib/sparkbus\n"
			       "listen: { address: '', control_port: 47100, peer_port: 47101 }\n"
			       "engine: { socket: /run/docker.sock }\n"
			       "logs: { max_bytes: 32MiB }\n"
			       "jobs: { ended_kept: 32 }\n"
			       "guard: { mode: act, cgroup: '' }\n"
			       "health: { frozen_s: 60, prove_s: 60 }\n"
			       "log: { level: info }\n"
			       "fabric: { beacon: auto, backend: auto }\n";

/* --- setters: one per type --- */

static int set_text(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	char *copy = strdup(sb_yaml_str(value));

	if (!copy)
		return sb_err_nomem(err);
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static int set_path(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	int rc = sb_yaml_expect(doc, value, SB_YAML_STR, key->path, err);

	if (rc < 0)
		return rc;
	if (sb_yaml_str(value)[0] != '/' || strlen(sb_yaml_str(value)) >= PATH_MAX)
		return sb_yaml_err(doc, value, err, "%s: expected an absolute path, got \"%s\"",
				key->path, sb_yaml_str(value));
	return set_text(key, doc, value, field, err);
}

static int set_address(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	const char *text = sb_yaml_str(value);
	struct in6_addr ip;
	int rc = sb_yaml_expect(doc, value, SB_YAML_STR, key->path, err);

	if (rc < 0)
		return rc;
	if (*text && inet_pton(AF_INET, text, &ip) != 1 && inet_pton(AF_INET6, text, &ip) != 1)
		return sb_yaml_err(doc, value, err,
				"%s: expected an IPv4 or IPv6 address or \"\" for all, got \"%s\"",
				key->path, text);
	return set_text(key, doc, value, field, err);
}

static int check_range(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, bool fits, uint64_t number, struct sb_err *err)
{
	if (fits && number >= key->min && number <= key->max)
		return 0;
	return sb_yaml_err(doc, value, err, "%s: expected %llu to %llu, got %s", key->path,
			(unsigned long long)key->min, (unsigned long long)key->max,
			sb_yaml_str(value));
}

static int get_number(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, uint64_t *ret, struct sb_err *err)
{
	int rc = sb_yaml_expect(doc, value, SB_YAML_INT, key->path, err);
	int64_t number = sb_yaml_int(value);

	if (rc == 0)
		rc = check_range(key, doc, value, number >= 0, (uint64_t)number, err);
	if (rc == 0)
		*ret = (uint64_t)number;
	return rc;
}

static int set_port(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	uint64_t number = 0;
	int rc = get_number(key, doc, value, &number, err);

	if (rc == 0)
		*(uint16_t *)field = (uint16_t)number;
	return rc;
}

static int set_count(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	uint64_t number = 0;
	int rc = get_number(key, doc, value, &number, err);

	if (rc == 0)
		*(unsigned *)field = (unsigned)number;
	return rc;
}

static int set_size(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	uint64_t number = 0;
	int rc;

	if (sb_yaml_type(value) == SB_YAML_STR) {
		if (!config_parse_size(sb_yaml_str(value), &number))
			return sb_yaml_err(doc, value, err,
					"%s: expected a size as \"32MiB\", \"64k\" or bytes, got "
					"\"%s\"",
					key->path, sb_yaml_str(value));
		rc = check_range(key, doc, value, true, number, err);
	} else {
		rc = get_number(key, doc, value, &number, err);
	}
	if (rc == 0)
		*(uint64_t *)field = number;
	return rc;
}

/* "auto", "off", or names of interfaces with commas between. */
static int set_links(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	const char *at = sb_yaml_str(value);
	bool good = *at != '\0';

	for (; good && *at; at += strcspn(at, ",")) {
		at += *at == ',';
		good = *at && strcspn(at, ",") < IF_NAMESIZE &&
				strcspn(at, "/ \t\n") >= strcspn(at, ",");
	}
	if (!good)
		return sb_yaml_err(doc, value, err,
				"%s: expected auto, off or names of interfaces as \"eth0,eth1\", "
				"got \"%s\"",
				key->path, sb_yaml_str(value));
	return set_text(key, doc, value, field, err);
}

static int set_backend(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	static const char *const names[] = { "auto", "netplan", "networkd", "rtnetlink" };

	for (size_t i = 0; i < sb_countof(names); i++)
		if (strcmp(sb_yaml_str(value), names[i]) == 0)
			return set_text(key, doc, value, field, err);
	return sb_yaml_err(doc, value, err,
			"%s: expected auto, netplan, networkd or rtnetlink, got \"%s\"", key->path,
			sb_yaml_str(value));
}

struct word {
	const char *name;
	int value;
};

static int set_word(const struct key *key, const struct word *words, size_t n, const char *expected,
		const struct sb_yaml_doc *doc, const struct sb_yaml_node *value, void *field,
		struct sb_err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(sb_yaml_str(value), words[i].name) != 0)
			continue;
		*(int *)field = words[i].value;
		return 0;
	}
	return sb_yaml_err(doc, value, err, "%s: expected %s, got \"%s\"", key->path, expected,
			sb_yaml_str(value));
}

static int set_level(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	static const struct word words[] = {
		{ "error", SB_LOG_ERR },
		{ "warn", SB_LOG_WARN },
		{ "info", SB_LOG_INFO },
		{ "debug", SB_LOG_DEBUG },
	};

	return set_word(key, words, sb_countof(words), "error, warn, info or debug", doc, value,
			field, err);
}

/* YAML reads "off" as a boolean. */
static int set_guard_mode(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	static const struct word words[] = {
		{ "off", SB_GUARD_OFF },
		{ "warn", SB_GUARD_WARN },
		{ "act", SB_GUARD_ACT },
	};

	return set_word(key, words, sb_countof(words), "off, warn or act", doc, value, field, err);
}

/* A path, or "" for none. */
static int set_optional_path(const struct key *key, const struct sb_yaml_doc *doc,
		const struct sb_yaml_node *value, void *field, struct sb_err *err)
{
	if (sb_yaml_type(value) == SB_YAML_STR && !*sb_yaml_str(value))
		return set_text(key, doc, value, field, err);
	return set_path(key, doc, value, field, err);
}

/* --- the table --- */

#define AT(member) offsetof(struct sb_config, member)

static const struct key keys[] = {
	{ "identity_dir", set_path, AT(identity_dir) },
	{ "state_dir", set_path, AT(state_dir) },
	{ "listen.address", set_address, AT(listen_address) },
	{ "listen.control_port", set_port, AT(control_port), 1, UINT16_MAX },
	{ "listen.peer_port", set_port, AT(peer_port), 1, UINT16_MAX },
	{ "engine.socket", set_path, AT(engine_socket) },
	{ "models.hf_cache", set_path, AT(hf_cache) },
	{ "logs.max_bytes", set_size, AT(log_max_bytes), LOG_BYTES_MIN, LOG_BYTES_MAX },
	{ "jobs.ended_kept", set_count, AT(ended_jobs_kept), 0, ENDED_KEPT_MAX },
	{ "health.frozen_s", set_count, AT(health_frozen_s), 0, 86400 },
	{ "health.prove_s", set_count, AT(health_prove_s), 0, 86400 },
	{ "guard.mode", set_guard_mode, AT(guard_mode) },
	{ "guard.warn", set_size, AT(guard_warn), GUARD_BYTES_MIN, GUARD_BYTES_MAX },
	{ "guard.critical", set_size, AT(guard_critical), GUARD_BYTES_MIN, GUARD_BYTES_MAX },
	{ "guard.emergency", set_size, AT(guard_emergency), GUARD_BYTES_MIN, GUARD_BYTES_MAX },
	{ "guard.cgroup", set_optional_path, AT(guard_cgroup) },
	{ "log.level", set_level, AT(log_level) },
	{ "fabric.beacon", set_links, AT(fabric_beacon) },
	{ "fabric.backend", set_backend, AT(fabric_backend) },
};

static void *field_of(const struct key *key, struct sb_config *config)
{
	return (char *)config + key->offset;
}

/* What stands before the dot; 0 = the key is at the top. */
static size_t section_len(const char *path)
{
	const char *dot = strchr(path, '.');

	return dot ? (size_t)(dot - path) : 0;
}

static bool is_section(const struct key *key, const char *name)
{
	size_t len = section_len(key->path);

	return len && strncmp(key->path, name, len) == 0 && name[len] == '\0';
}

static struct passwd *next_user(void *ctx)
{
	return getpwent();
}

static int find_hf_cache(struct sb_config *config, struct sb_err *err)
{
	if (config->hf_cache)
		return 0;
	setpwent();
	config->hf_cache = config_default_hf_cache(next_user, NULL);
	endpwent();
	return config->hf_cache ? 0 : sb_err_nomem(err);
}

/* --- the file --- */

/* What an unknown key may have been meant to be. */
struct guess {
	const char *name, *section;
	int name_len, section_len;
	unsigned distance;
};

static void guess_better(struct guess *guess, const char *got, const char *name, int name_len,
		const char *section, int section_len)
{
	char text[64];
	unsigned distance;

	snprintf(text, sizeof(text), "%.*s", name_len, name);
	distance = config_distance(got, text);
	if (distance < guess->distance)
		*guess = (struct guess){ name, section, name_len, section_len, distance };
}

/* Refuse @name in @section (NULL = the top). The guess may be a key that belongs elsewhere. */
static int unknown_key(const struct sb_yaml_doc *doc, const struct sb_yaml_node *name,
		const char *section, struct sb_err *err)
{
	const char *got = sb_yaml_str(name),
		   *leaf = strrchr(got, '.') ? strrchr(got, '.') + 1 : got;
	size_t near = strlen(leaf) / 2 < HINT_DISTANCE ? strlen(leaf) / 2 : HINT_DISTANCE;
	struct guess guess = { .distance = (unsigned)near + 1 };

	for (size_t i = 0; i < sb_countof(keys); i++) {
		const char *path = keys[i].path;
		int len = (int)section_len(path), skip = len ? len + 1 : 0;

		guess_better(&guess, leaf, path + skip, (int)strlen(path + skip), path, len);
		if (len && !section)
			guess_better(&guess, leaf, path, len, "", 0);
	}
	if (!guess.name)
		return sb_yaml_err(doc, name, err, "unknown key \"%s\"%s%s", got,
				section ? " under " : "", section ? section : "");
	return sb_yaml_err(doc, name, err, "unknown key \"%s\"%s%s; did you mean \"%.*s\"%s%.*s?",
			got, section ? " under " : "", section ? section : "", guess.name_len,
			guess.name, guess.section_len ? " under " : "", guess.section_len,
			guess.section);
}

static const struct key *find_key(const char *section, const char *name)
{
	char path[64];

	if (snprintf(path, sizeof(path), "%s%s%s", section ? section : "", section ? "." : "",
			    name) >= (int)sizeof(path))
		return NULL;
	for (size_t i = 0; i < sb_countof(keys); i++)
		if (strcmp(keys[i].path, path) == 0)
			return &keys[i];
	return NULL;
}

static const char *find_section(const char *name)
{
	for (size_t i = 0; i < sb_countof(keys); i++)
		if (is_section(&keys[i], name))
			return name;
	return NULL;
}

static int read_map(const struct sb_yaml_doc *doc, const struct sb_yaml_node *map,
		const char *section, struct sb_config *config, struct sb_err *err)
{
	int rc = 0;

	if (sb_yaml_type(map) == SB_YAML_NULL)
		return 0; /* "listen:" with every line below it commented out */
	rc = sb_yaml_expect(doc, map, SB_YAML_MAP, section ? section : "settings", err);
	for (size_t i = 0; rc == 0 && i < sb_yaml_size(map); i++) {
		const struct sb_yaml_node *name = sb_yaml_key(map, i), *value = sb_yaml_at(map, i);
		const struct key *key = find_key(section, sb_yaml_str(name));
		const char *sub = section ? NULL : find_section(sb_yaml_str(name));

		if (key && !strchr(sb_yaml_str(name), '.'))
			rc = key->set(key, doc, value, field_of(key, config), err);
		else if (sub)
			rc = read_map(doc, value, sub, config, err);
		else
			rc = unknown_key(doc, name, section, err);
	}
	return rc;
}

/* sb_yaml remarks on duplicate keys; here the first of them is an error. */
struct remark {
	unsigned line, col;
	char text[128];
};

static void keep_remark(void *ctx, unsigned line, unsigned col, const char *text)
{
	struct remark *remark = ctx;

	if (remark->line)
		return;
	*remark = (struct remark){ .line = line, .col = col };
	snprintf(remark->text, sizeof(remark->text), "%s", text);
}

/* Both set, and the wrong way round. */
static bool below(uint64_t upper, uint64_t lower)
{
	return upper && upper < lower;
}

static int read_file(const char *path, struct sb_config *config, struct sb_err *err)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	struct remark remark = { 0 };
	int rc = sb_yaml_load(path, keep_remark, &remark, &doc, err);

	if (rc < 0)
		return rc;
	if (remark.line) /* without its "; the last one wins", which is for others */
		return sb_err_set(err, SB_E_INVALID, "%s:%u:%u: %.*s", path, remark.line,
				remark.col, (int)strcspn(remark.text, ";"), remark.text);
	rc = read_map(doc, sb_yaml_root(doc), NULL, config, err);
	if (rc == 0 && config->control_port == config->peer_port)
		rc = sb_yaml_err(doc, sb_yaml_get(sb_yaml_root(doc), "listen"), err,
				"listen.control_port and listen.peer_port are both %u",
				config->control_port);
	if (rc == 0 &&
			(below(config->guard_warn, config->guard_critical) ||
					below(config->guard_critical, config->guard_emergency)))
		rc = sb_yaml_err(doc, sb_yaml_get(sb_yaml_root(doc), "guard"), err,
				"guard: warn must not be below critical, nor critical below "
				"emergency");
	return rc;
}

static int read_defaults(struct sb_config *config, struct sb_err *err)
{
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	int rc = sb_yaml_parse("defaults", defaults, sizeof(defaults) - 1, NULL, NULL, &doc, err);

	return rc < 0 ? rc : read_map(doc, sb_yaml_root(doc), NULL, config, err);
}

int sb_config_load(const char *path, struct sb_config *ret, struct sb_err *err)
{
	SB_CLEANUP(sb_config_done) struct sb_config config = { 0 };
	int rc = read_defaults(&config, err);

	if (rc == 0 && path) {
		rc = read_file(path, &config, err);
		if (rc == -SB_E_NOT_FOUND && strcmp(path, SB_CONFIG_DEFAULT_PATH) == 0)
			rc = 0;
	}
	if (rc == 0)
		rc = find_hf_cache(&config, err);
	if (rc < 0)
		return sb_err_wrap(err, rc, "settings");
	*ret = config;
	config = (struct sb_config){ 0 };
	return 0;
}

void sb_config_done(struct sb_config *config)
{
	free(config->identity_dir);
	free(config->state_dir);
	free(config->listen_address);
	free(config->engine_socket);
	free(config->hf_cache);
	free(config->fabric_beacon);
	free(config->fabric_backend);
	free(config->guard_cgroup);
	*config = (struct sb_config){ 0 };
}
