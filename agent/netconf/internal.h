#ifndef SB_NETCONF_INTERNAL_H
#define SB_NETCONF_INTERNAL_H

#include "sb_netconf.h"

enum backend { BACKEND_RTNETLINK, BACKEND_NETPLAN, BACKEND_NETWORKD, BACKEND_COUNT_ };
const char *netconf_backend_name(enum backend backend);
/** The setting, or what is found below @root for "auto". */
enum backend netconf_backend(const char *setting, const char *root);

/** The files that keep @wanted over a boot, with their content; none for rtnetlink. Return: 0 or
 * -SB_E_NOMEM. */
int netconf_files(enum backend backend, const char *root, Sparkbus__InterfaceSetting *const *wanted,
		size_t n, Sparkbus__ConfigFile ***ret, size_t *ret_n);
void netconf_files_free(Sparkbus__ConfigFile **files, size_t n);
/** Another file that speaks of @interface, whose settings would be added to ours; on the heap, NULL
 * when there is none. */
char *netconf_rival(enum backend backend, const char *root, const char *interface);
/** The file as it is now: content, or absent. */
int netconf_file_read(const char *path, Sparkbus__ConfigFile **ret, struct sb_err *err);
int netconf_file_write(const Sparkbus__ConfigFile *file, struct sb_err *err);

/** "192.168.100.11/24" with a prefix of 1 to 31: address (network byte order) and prefix. */
bool netconf_parse(const char *text, uint32_t *ret_ip, unsigned *ret_prefix);

/** Free what a setting holds, not itself. */
void sb_netconf_setting_done(Sparkbus__InterfaceSetting *setting);

#endif
