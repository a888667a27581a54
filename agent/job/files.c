/* files.c - what a rank finds in its container before it starts: files of the plan, as a tar
 * archive that the engine unpacks at "/". */
#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "rank_spec.h"

#define MODE_DEFAULT 0644u
#define MODE_MAX     07777u
#define PATH_MAX_LEN 1024u

/* --- may they be put? --- */

/* Absolute, and each part a name: no part leads up, none is empty. */
static bool path_ok(const char *path)
{
	if (path[0] != '/' || strlen(path) > PATH_MAX_LEN)
		return false;
	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (!len || (len == 1 && path[0] == '.') ||
				(len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += len;
	}
	return true;
}

/* A mount is a folder of the node: a file that is put below it would be written there, by root. */
static bool in_mount(const Sparkbus__RankSpec *rank, const char *path)
{
	for (size_t i = 0; i < rank->n_mounts; i++) {
		const char *target = rank->mounts[i]->target;
		size_t len = strlen(target);

		while (len && target[len - 1] == '/')
			len--;
		if (!strncmp(path, target, len) && (path[len] == '/' || !path[len]))
			return true;
	}
	return false;
}

struct count {
	size_t n, bytes;
};

static int check_list(const Sparkbus__LaunchPlan *plan, Sparkbus__File *const *files, size_t n,
		struct count *sum, struct sb_err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (!path_ok(files[i]->path) || files[i]->mode > MODE_MAX)
			return sb_err_set(err, SB_E_INVALID,
					"file '%.80s' of %s: expected an absolute path and "
					"permission bits",
					files[i]->path, plan->job);
		sum->bytes += files[i]->content.len;
	}
	sum->n += n;
	if (sum->n > SB_PLAN_FILES_MAX || sum->bytes > SB_PLAN_FILES_MAX_BYTES)
		return sb_err_set(err, SB_E_RANGE,
				"the files of %s are more than %u or larger than %zu bytes "
				"together",
				plan->job, SB_PLAN_FILES_MAX, SB_PLAN_FILES_MAX_BYTES);
	return 0;
}

static int check_mounts(const Sparkbus__LaunchPlan *plan, const Sparkbus__RankSpec *rank,
		Sparkbus__File *const *files, size_t n, struct sb_err *err)
{
	for (size_t i = 0; i < n; i++)
		if (in_mount(rank, files[i]->path))
			return sb_err_set(err, SB_E_INVALID,
					"file %.80s of %s lies in a mount of rank %u: it would be "
					"written to the node",
					files[i]->path, plan->job, rank->rank);
	return 0;
}

/* What the entry script would be made of is looked at before anything is made. */
static int check_hooks(const Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf script = SB_STRBUF_INIT;

	if (plan->n_pre_exec > SB_PLAN_HOOKS_MAX || plan->n_post_exec > SB_PLAN_HOOKS_MAX ||
			plan->n_post_commands > SB_PLAN_HOOKS_MAX)
		return sb_err_set(err, SB_E_RANGE, "%s has more than %u hooks of a kind", plan->job,
				SB_PLAN_HOOKS_MAX);
	for (size_t i = 0; i < plan->n_post_exec; i++)
		if (!*plan->post_exec[i]->command)
			return sb_err_set(err, SB_E_INVALID, "hook %.40s: expected a command",
					plan->post_exec[i]->label);
	for (size_t i = 0; i < plan->n_ranks && plan->n_pre_exec; i++) {
		const Sparkbus__ContainerOptions *opt = plan->ranks[i]->options;
		const char *user = opt && strcmp(opt->user, "auto") != 0 ? opt->user : "";
		int rc;

		sb_strbuf_reset(&script);
		rc = sb_entry_script(plan, user, &script, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int files_check(const Sparkbus__LaunchPlan *plan, struct sb_err *err)
{
	struct count sum = { 0 };
	int rc = check_hooks(plan, err);

	if (!rc && strlen(plan->recipe_yaml) > SB_PLAN_RECIPE_MAX_BYTES)
		rc = sb_err_set(err, SB_E_RANGE, "the recipe of %s is larger than %zu bytes",
				plan->job, SB_PLAN_RECIPE_MAX_BYTES);
	if (!rc)
		rc = check_list(plan, plan->files, plan->n_files, &sum, err);

	for (size_t i = 0; !rc && i < plan->n_ranks; i++) {
		const Sparkbus__RankSpec *rank = plan->ranks[i];

		rc = check_list(plan, rank->files, rank->n_files, &sum, err);
		if (!rc)
			rc = check_mounts(plan, rank, plan->files, plan->n_files, err);
		if (!rc)
			rc = check_mounts(plan, rank, rank->files, rank->n_files, err);
	}
	return rc;
}

/* --- the archive --- */

struct owner {
	uid_t uid;
	gid_t gid;
};

static la_ssize_t on_bytes(struct archive *a, void *ctx, const void *data, size_t len)
{
	return sb_strbuf_add(ctx, data, len) == 0 ? (la_ssize_t)len : -1;
}

static void archive_donep(struct archive **a)
{
	if (*a)
		archive_write_free(*a);
}

static int add_file(struct archive *a, const Sparkbus__File *file, const struct owner *owner)
{
	struct archive_entry *entry = archive_entry_new();
	bool ok = entry != NULL;

	if (!ok)
		return -1;
	archive_entry_set_pathname(entry, file->path + 1);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, file->mode ? file->mode : MODE_DEFAULT);
	archive_entry_set_uid(entry, owner->uid);
	archive_entry_set_gid(entry, owner->gid);
	archive_entry_set_size(entry, (la_int64_t)file->content.len);
	ok = archive_write_header(a, entry) == ARCHIVE_OK &&
			archive_write_data(a, file->content.data, file->content.len) ==
					(la_ssize_t)file->content.len;
	archive_entry_free(entry);
	return ok ? 0 : -1;
}

static int add_list(struct archive *a, Sparkbus__File *const *files, size_t n,
		const struct owner *owner, struct sb_err *err)
{
	for (size_t i = 0; i < n; i++)
		if (add_file(a, files[i], owner) < 0)
			return sb_err_set(err, SB_E_INTERNAL, "archive for %.80s: %s",
					files[i]->path, archive_error_string(a));
	return 0;
}

/* The entry script belongs to root: it runs as root, before anybody else does. */
static int add_entry(struct archive *a, const struct job *job, struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf script = SB_STRBUF_INIT;
	Sparkbus__File file = SPARKBUS__FILE__INIT, *list[] = { &file };
	char user[RANK_USER_MAX];
	int rc;

	if (!job->rec->plan->n_pre_exec)
		return 0;
	rc = sb_entry_script(job->rec->plan, rank_user(job, user), &script, err);
	if (rc < 0)
		return rc;
	file.path = (char *)SB_ENTRY_PATH;
	file.content.data = (uint8_t *)script.data;
	file.content.len = script.len;
	file.mode = 0555;
	return add_list(a, list, 1, &(struct owner){ 0 }, err);
}

int files_tar(const struct job *job, struct sb_strbuf *out, struct sb_err *err)
{
	const Sparkbus__LaunchPlan *plan = job->rec->plan;
	const Sparkbus__RankSpec *rank = job_spec(job);
	SB_CLEANUP(archive_donep) struct archive *a = NULL;
	struct owner owner = { 0 };
	int rc;

	if (!plan->n_files && !rank->n_files && !plan->n_pre_exec)
		return 0;
	rank_owner(job, &owner.uid, &owner.gid);
	a = archive_write_new();
	/* pax, and plain ustar where that says everything; not padded to a tape's block. */
	if (!a || archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
			archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
			archive_write_open(a, out, NULL, on_bytes, NULL) != ARCHIVE_OK)
		return sb_err_nomem(err);
	rc = add_list(a, plan->files, plan->n_files, &owner, err);
	if (!rc)
		rc = add_list(a, rank->files, rank->n_files, &owner, err);
	if (!rc)
		rc = add_entry(a, job, err);
	if (!rc && archive_write_close(a) != ARCHIVE_OK)
		rc = sb_err_nomem(err);
	return rc;
}
