/* fuzz_yaml.c - any bytes through the YAML reader, the renderer and the writer. */
#include <stdint.h>
#include <string.h>

#include "sb_yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, unsigned line, unsigned col, const char *text)
{
}

/* Every scalar that was read must be writable, and read back as itself. */
static void write_back(const struct sb_yaml_node *node)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;

	if (sb_yaml_write_scalar(&out, sb_yaml_str(node)) < 0)
		abort();
	if (sb_yaml_parse("back", sb_strbuf_str(&out), out.len, NULL, NULL, &doc, NULL) < 0 ||
			strcmp(sb_yaml_str(sb_yaml_root(doc)), sb_yaml_str(node)) != 0)
		abort();
}

/* A map written as a file reads back as the same map. */
static void write_file(const struct sb_yaml_node *map)
{
	SB_CLEANUP(sb_strbuf_done)
	struct sb_strbuf file = SB_STRBUF_INIT, want = SB_STRBUF_INIT, got = SB_STRBUF_INIT;
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	struct sb_err err = SB_ERR_INIT;

	for (size_t i = 0; i < sb_yaml_size(map); i++)
		if (sb_yaml_write_entry(&file, 0, sb_yaml_key(map, i), sb_yaml_at(map, i)) < 0)
			abort();
	if (file.len > SB_YAML_MAX_BYTES)
		return; /* aliases were written out */
	if (sb_yaml_parse("file", sb_strbuf_str(&file), file.len, NULL, NULL, &doc, &err) < 0)
		abort();
	sb_yaml_render(map, &want);
	sb_yaml_render(sb_yaml_root(doc), &got);
	if (strcmp(sb_strbuf_str(&want), sb_strbuf_str(&got)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SB_CLEANUP(sb_strbuf_done) struct sb_strbuf out = SB_STRBUF_INIT;
	SB_CLEANUP(sb_yaml_freep) struct sb_yaml_doc *doc = NULL;
	struct sb_err err = SB_ERR_INIT;
	const struct sb_yaml_node *root;

	if (sb_yaml_parse("f", (const char *)data, size, ignore, NULL, &doc, &err) < 0) {
		if (doc || !err.text[0])
			abort();
		return 0;
	}
	root = sb_yaml_root(doc);
	sb_yaml_render(root, &out);
	write_back(root);
	if (sb_yaml_type(root) == SB_YAML_MAP && sb_yaml_size(root))
		write_file(root);
	for (size_t i = 0; i < sb_yaml_size(root) && i < 16; i++) {
		write_back(sb_yaml_at(root, i));
		if (sb_yaml_key(root, i) && !sb_yaml_get(root, sb_yaml_str(sb_yaml_key(root, i))))
			abort();
	}
	return 0;
}
