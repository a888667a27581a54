/* model.c - the small files of a snapshot, and the sizes of the large ones. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"
#include "sb_fs.h"

struct reading {
	const char *snapshot;
	void (*warn)(void *ctx, const char *text);
	void *ctx;
};

/* *@ret stays NULL when the file is not there or no use. */
static int read_json(const struct reading *r, const char *name, size_t max, json_t **ret,
		struct sb_err *err)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf text = SB_STRBUF_INIT;
	SB_CLEANUP(sb_freep) char *path = sb_fs_join(r->snapshot, name);
	struct sb_err why = SB_ERR_INIT;
	json_error_t error;
	struct stat st;

	if (!path)
		return sb_err_nomem(err);
	if (stat(path, &st) < 0 && errno == ENOENT)
		return 0;
	if (sb_fs_read(path, max, &text, &why) < 0) {
		r->warn(r->ctx, why.text);
		return 0;
	}
	*ret = json_loadb(sb_strbuf_str(&text), text.len, 0, &error);
	if (!*ret) {
		sb_err_set(&why, SB_E_INVALID, "%s is left out: line %d, column %d: %s", path,
				error.line, error.column, error.text);
		r->warn(r->ctx, why.text);
	}
	return 0;
}

/* Bytes of a file at the top of the snapshot; a link to a blob that is not there is no file. */
static bool size_of(const char *snapshot, const char *name, uint64_t *ret)
{
	SB_CLEANUP(sb_freep) char *path = NULL;
	struct stat st;

	if (strchr(name, '/'))
		return false;
	path = sb_fs_join(snapshot, name);
	if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	*ret = (uint64_t)st.st_size;
	return true;
}

int hub_add_file(const char *name, uint64_t bytes, struct sb_hub_model *m, struct sb_err *err)
{
	struct sb_vram_file *more = realloc(m->files, (m->n_files + 1) * sizeof(*more));
	char *copy = strdup(name);

	if (more)
		m->files = more;
	if (!more || !copy) {
		free(copy);
		return sb_err_nomem(err);
	}
	m->files[m->n_files++] = (struct sb_vram_file){ copy, bytes };
	return 0;
}

void hub_drop_files(struct sb_hub_model *m)
{
	for (size_t i = 0; i < m->n_files; i++)
		free((char *)m->files[i].name);
	free(m->files);
	m->files = NULL;
	m->n_files = 0;
}

/* Half a download would make half an estimate: all files that the index names, or none. */
static int list_files(const char *snapshot, struct sb_hub_model *m, struct sb_err *err)
{
	const json_t *map = json_object_get(m->index, "weight_map");
	json_t *seen = json_object(), *file;
	const char *tensor;
	uint64_t bytes;
	bool all = true;
	int rc = 0;

	if (!json_is_object(m->index) && size_of(snapshot, "model.safetensors", &bytes))
		rc = hub_add_file("model.safetensors", bytes, m, err);
	json_object_foreach ((json_t *)map, tensor, file) {
		const char *name = json_string_value(file);

		if (rc < 0 || !all)
			break;
		if (name && json_object_get(seen, name))
			continue;
		all = name && m->n_files < SB_HUB_FILES_MAX && size_of(snapshot, name, &bytes);
		if (all)
			rc = hub_add_file(name, bytes, m, err);
		if (all && json_object_set_new(seen, name, json_true()) < 0)
			rc = sb_err_nomem(err);
	}
	json_decref(seen);
	if (!all)
		hub_drop_files(m);
	return rc;
}

/* --- GGUF --- */

static int read_head(const char *path, struct sb_hub_model *m, struct sb_err *err)
{
	SB_CLEANUP(sb_freep) char *head = malloc(SB_HUB_GGUF_MAX);
	FILE *file = head ? fopen(path, "re") : NULL;

	if (!head)
		return sb_err_nomem(err);
	if (file) {
		m->gguf = sb_hub_gguf(head, fread(head, 1, SB_HUB_GGUF_MAX, file));
		fclose(file);
	}
	return 0;
}

/* The GGUF files of @folder, which is @below in the snapshot; the head of the first. */
static int list_gguf(const char *folder, const char *below, bool deeper, struct sb_hub_model *m,
		struct sb_err *err)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int rc = 0;

	while (dir && rc == 0 && (entry = readdir(dir))) {
		SB_CLEANUP(sb_freep) char *path = sb_fs_join(folder, entry->d_name);
		SB_CLEANUP(sb_freep)
		char *name = *below ? sb_fs_join(below, entry->d_name) : strdup(entry->d_name);
		struct stat st;

		if (!path || !name) {
			rc = sb_err_nomem(err);
		} else if (entry->d_name[0] == '.' || stat(path, &st) < 0) {
			continue;
		} else if (S_ISDIR(st.st_mode) && deeper) {
			rc = list_gguf(path, name, false, m, err);
		} else if (S_ISREG(st.st_mode) && strstr(name, ".gguf") &&
				m->n_files < SB_HUB_FILES_MAX) {
			rc = hub_add_file(name, (uint64_t)st.st_size, m, err);
			if (rc == 0 && !m->gguf && hub_is_gguf(name))
				rc = read_head(path, m, err);
		}
	}
	if (dir)
		closedir(dir);
	return rc;
}

int sb_hub_model_read(const char *snapshot, void (*warn)(void *ctx, const char *text), void *ctx,
		struct sb_hub_model *ret, struct sb_err *err)
{
	const struct reading r = { snapshot, warn, ctx };
	struct sb_hub_model m = { 0 };
	int rc = read_json(&r, "config.json", SB_HUB_CONFIG_MAX, &m.config, err);

	if (!rc)
		rc = read_json(&r, "hf_quant_config.json", SB_HUB_CONFIG_MAX, &m.hf_quant, err);
	if (!rc)
		rc = read_json(&r, "model.safetensors.index.json", SB_HUB_INDEX_MAX, &m.index, err);
	if (!rc)
		rc = list_files(snapshot, &m, err);
	if (!rc && !m.n_files && !m.index)
		rc = list_gguf(snapshot, "", true, &m, err);
	if (rc < 0) {
		sb_hub_model_done(&m);
		return rc;
	}
	*ret = m;
	return 0;
}

void sb_hub_model_done(struct sb_hub_model *model)
{
	json_decref(model->config);
	json_decref(model->hf_quant);
	json_decref(model->index);
	json_decref(model->header);
	json_decref(model->counts);
	json_decref(model->gguf);
	hub_drop_files(model);
	*model = (struct sb_hub_model){ 0 };
}

struct sb_vram_facts sb_hub_facts(const struct sb_hub_model *model)
{
	return (struct sb_vram_facts){ .config = model->config,
		.hf_quant = model->hf_quant,
		.index = model->index,
		.header = model->header,
		.counts = model->counts,
		.gguf = model->gguf,
		.files = model->files,
		.n_files = model->n_files };
}
