/* files.c - who keeps addresses over a boot, and how it wants them written. */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "sb_fs.h"
#include "sb_strbuf.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define FILE_NAME      "90-sparkbus" /* later names win */

/* netplan.io warns of files that others may read; networkd reads its own as a user of its own. */
static const struct {
	const char *name, *folder, *suffix, *sign;
	mode_t mode;
} backends[] = {
	[BACKEND_RTNETLINK] = { "rtnetlink", NULL, NULL, NULL, 0 },
	[BACKEND_NETPLAN] = { "netplan", "/etc/netplan", ".yaml", "/etc/netplan", 0600 },
	[BACKEND_NETWORKD] = { "networkd", "/etc/systemd/network", ".network", "/run/systemd/netif",
			0644 },
};
static_assert(sb_countof(backends) == BACKEND_COUNT_, "a row each");

const char *netconf_backend_name(enum backend backend)
{
	return backends[backend].name;
}

static bool is_there(const char *root, const char *path)
{
	SB_CLEANUP(sb_freep) char *full = NULL;

	return asprintf(&full, "%s%s", root, path) >= 0 && access(full, F_OK) == 0;
}

enum backend netconf_backend(const char *setting, const char *root)
{
	for (int i = 0; i < BACKEND_COUNT_; i++)
		if (strcmp(setting, backends[i].name) == 0)
			return (enum backend)i;
	for (int i = BACKEND_NETPLAN; i < BACKEND_COUNT_; i++)
		if (is_there(root, backends[i].sign))
			return (enum backend)i;
	return BACKEND_RTNETLINK;
}

/* --- content --- */

#define HEADER "# Written by sparkbus fabric configure; --revert removes it.\n"

static void add_netplan(const Sparkbus__InterfaceSetting *s, struct sb_strbuf *out)
{
	sb_strbuf_addf(out, "    %s:\n      addresses: [", s->name);
	for (size_t i = 0; i < s->n_addresses; i++)
		sb_strbuf_addf(out, "%s%s", i ? ", " : "", s->addresses[i]);
	sb_strbuf_adds(out,
			"]\n      dhcp4: false\n      dhcp6: false\n      link-local: []\n"
			"      accept-ra: false\n");
	if (s->mtu)
		sb_strbuf_addf(out, "      mtu: %u\n", s->mtu);
	/* The adapter is powered off without a cable: booting must not wait for it. */
	sb_strbuf_adds(out, "      optional: true\n");
}

static void add_networkd(const Sparkbus__InterfaceSetting *s, struct sb_strbuf *out)
{
	sb_strbuf_addf(out, HEADER "[Match]\nName=%s\n\n[Link]\n", s->name);
	if (s->mtu)
		sb_strbuf_addf(out, "MTUBytes=%u\n", s->mtu);
	sb_strbuf_adds(out,
			"RequiredForOnline=no\n\n[Network]\nDHCP=no\nLinkLocalAddressing=no\n"
			"IPv6AcceptRA=no\n");
	for (size_t i = 0; i < s->n_addresses; i++)
		sb_strbuf_addf(out, "Address=%s\n", s->addresses[i]);
}

static int add_file(enum backend backend, const char *root, const char *interface,
		struct sb_strbuf *content, Sparkbus__ConfigFile **ret)
{
	Sparkbus__ConfigFile *file = malloc(sizeof(*file));
	char *path = NULL;

	if (!file)
		return -SB_E_NOMEM;
	sparkbus__config_file__init(file);
	*ret = file;
	if (asprintf(&path, "%s%s/" FILE_NAME "%s%s%s", root, backends[backend].folder,
			    interface ? "-" : "", interface ? interface : "",
			    backends[backend].suffix) < 0)
		return -SB_E_NOMEM;
	file->path = path;
	file->mode = backends[backend].mode;
	file->content.len = content->len;
	file->content.data = (uint8_t *)sb_strbuf_steal(content);
	return file->content.data ? 0 : -SB_E_NOMEM;
}

void netconf_files_free(Sparkbus__ConfigFile **files, size_t n)
{
	for (size_t i = 0; files && i < n; i++)
		if (files[i])
			sparkbus__config_file__free_unpacked(files[i], NULL);
	free(files);
}

int netconf_files(enum backend backend, const char *root, Sparkbus__InterfaceSetting *const *wanted,
		size_t n, Sparkbus__ConfigFile ***ret, size_t *ret_n)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	Sparkbus__ConfigFile **files = calloc(n + 1, sizeof(*files));
	size_t made = 0;
	int rc = files ? 0 : -SB_E_NOMEM;

	if (backend == BACKEND_NETPLAN)
		sb_strbuf_adds(&text, HEADER "network:\n  version: 2\n  ethernets:\n");
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (backend == BACKEND_NETPLAN)
			add_netplan(wanted[i], &text);
		if (backend != BACKEND_NETWORKD)
			continue;
		add_networkd(wanted[i], &text);
		rc = add_file(backend, root, wanted[i]->name, &text, &files[made++]);
	}
	if (rc == 0 && backend == BACKEND_NETPLAN)
		rc = add_file(backend, root, NULL, &text, &files[made++]);
	if (rc < 0) {
		netconf_files_free(files, made);
		return rc;
	}
	*ret = files;
	*ret_n = made;
	return 0;
}

/* --- other files --- */

static bool speaks_of(const char *path, const char *interface)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	size_t len = strlen(interface);
	const char *at;

	if (sb_fs_read(path, FILE_MAX_BYTES, &text, NULL) < 0)
		return false;
	for (at = sb_strbuf_str(&text); (at = strstr(at, interface)); at += len)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789", at[len] | 0x20))
			return true;
	return false;
}

char *netconf_rival(enum backend backend, const char *root, const char *interface)
{
	SB_CLEANUP(sb_freep) char *folder = NULL;
	char *found = NULL;
	DIR *dir;

	if (!backends[backend].folder ||
			asprintf(&folder, "%s%s", root, backends[backend].folder) < 0)
		return NULL;
	dir = opendir(folder);
	for (struct dirent *e; dir && !found && (e = readdir(dir));) {
		SB_CLEANUP(sb_freep) char *path = sb_fs_join(folder, e->d_name);
		const char *suffix = strrchr(e->d_name, '.');

		if (path && suffix && strcmp(suffix, backends[backend].suffix) == 0 &&
				strncmp(e->d_name, FILE_NAME, strlen(FILE_NAME)) != 0 &&
				speaks_of(path, interface))
			found = sb_steal(path);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* --- on disk --- */

int netconf_file_read(const char *path, Sparkbus__ConfigFile **ret, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	Sparkbus__ConfigFile *file = malloc(sizeof(*file));
	int rc = sb_fs_read(path, FILE_MAX_BYTES, &text, err);

	if (!file)
		return sb_err_nomem(err);
	sparkbus__config_file__init(file);
	*ret = file;
	file->path = strdup(path);
	if (!file->path) {
		file->path = (char *)protobuf_c_empty_string;
		return sb_err_nomem(err);
	}
	file->absent = rc == -SB_E_NOT_FOUND;
	if (rc < 0)
		return file->absent ? 0 : rc;
	file->content.len = text.len;
	file->content.data = (uint8_t *)sb_strbuf_steal(&text);
	file->mode = strstr(path, "/netplan/") ? backends[BACKEND_NETPLAN].mode
					       : backends[BACKEND_NETWORKD].mode;
	return file->content.data ? 0 : sb_err_nomem(err);
}

int netconf_file_write(const Sparkbus__ConfigFile *file, struct sb_err *err)
{
	if (file->absent)
		return sb_fs_remove(file->path, err);
	return sb_fs_write(file->path, file->content.data, file->content.len, file->mode, err);
}
