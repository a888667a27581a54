#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "node_parse.h"
#include "sb_fs.h"
#include "sb_node.h"

/* Links looked at to find a socket's owner: a name in a message is not worth more. */
#define OWNER_LINKS_MAX 100000u

static void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Look for a listener in one table; the kernel lists listeners first. */
static int find_listener(const char *path, uint16_t port, struct node_socket *ret, bool *ret_found,
		struct sb_err *err)
{
	SB_CLEANUP(fclosep) FILE *file = fopen(path, "re");
	struct node_socket sock;
	char line[512];

	if (!file)
		return sb_err_errno(err, errno, "%s", path);
	while (fgets(line, sizeof(line), file)) {
		if (!node_parse_socket(line, &sock) || sock.state != NODE_TCP_LISTEN ||
				sock.port != port)
			continue;
		*ret = sock;
		*ret_found = true;
		return 0;
	}
	return ferror(file) ? sb_err_errno(err, errno, "%s", path) : 0;
}

/* Whether the process that /proc/<pid> is has the socket; counts the links in *budget down. */
static bool has_socket(int proc_fd, const char *pid, uint64_t inode, unsigned *budget)
{
	SB_CLEANUP(closedirp) DIR *d = NULL;
	struct dirent *entry;
	char path[300], target[64];
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false; /* gone, or not ours to see */
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return false;
	}
	while (*budget && (entry = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), entry->d_name, target, sizeof(target) - 1);
		uint64_t found;

		--*budget;
		target[n < 0 ? 0 : n] = '\0';
		if (node_parse_socket_link(target, &found) && found == inode)
			return true;
	}
	return false;
}

static void describe(const char *pid, char *who, size_t who_size)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf comm = SB_STRBUF_INIT;
	char path[300];

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	if (sb_fs_read(path, 64, &comm, NULL) < 0)
		snprintf(who, who_size, "pid %s", pid);
	else
		snprintf(who, who_size, "%.*s (pid %s)", (int)strcspn(sb_strbuf_str(&comm), "\n"),
				sb_strbuf_str(&comm), pid);
	sb_text_clean(who); /* a process chooses its own name */
}

static void find_owner(uint64_t inode, char *who, size_t who_size)
{
	SB_CLEANUP(closedirp) DIR *proc = opendir("/proc");
	unsigned budget = OWNER_LINKS_MAX;
	struct dirent *entry;

	while (proc && budget && (entry = readdir(proc))) {
		if (entry->d_name[strspn(entry->d_name, "0123456789")] != '\0')
			continue;
		if (!has_socket(dirfd(proc), entry->d_name, inode, &budget))
			continue;
		describe(entry->d_name, who, who_size);
		return;
	}
}

int sb_node_port_busy(uint16_t port, bool *ret_busy, char *who, size_t who_size, struct sb_err *err)
{
	struct node_socket sock = { 0 };
	bool found = false;
	int rc = find_listener("/proc/net/tcp", port, &sock, &found, err);

	if (rc == 0 && !found) {
		rc = find_listener("/proc/net/tcp6", port, &sock, &found, err);
		if (rc == -SB_E_NOT_FOUND)
			rc = 0; /* a kernel without IPv6 */
	}
	if (rc < 0)
		return rc;
	if (who_size)
		who[0] = '\0';
	if (found && who_size)
		find_owner(sock.inode, who, who_size);
	*ret_busy = found;
	return 0;
}
