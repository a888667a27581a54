#include <assert.h>

#include "sb_origin.h"

static const struct {
	const char *word, *text;
	bool may_act;
} kinds[] = {
	[SB_ORIGIN_PATH] = { "path", "a file", true },
	[SB_ORIGIN_BUNDLED] = { "bundled", "bundled", true },
	[SB_ORIGIN_REGISTRY] = { "registry", NULL, false },
	[SB_ORIGIN_URL] = { "url", NULL, false },
};
static_assert(sb_countof(kinds) == SB_ORIGIN_KIND_COUNT_, "a row for each kind");

void sb_origin_done(struct sb_origin *origin)
{
	free(origin->registry);
	free(origin->url);
	free(origin->commit);
	*origin = (struct sb_origin){ 0 };
}

bool sb_origin_may_act_here(const struct sb_origin *origin)
{
	return (kinds[origin->kind].may_act && !origin->foreign) ||
			(origin->kind == SB_ORIGIN_REGISTRY && origin->trusted);
}

int sb_origin_text(const struct sb_origin *origin, struct sb_strbuf *out)
{
	if (origin->kind == SB_ORIGIN_PATH && origin->foreign)
		return sb_strbuf_adds(out, "a file of another user");
	if (kinds[origin->kind].text)
		return sb_strbuf_adds(out, kinds[origin->kind].text);
	if (origin->kind == SB_ORIGIN_URL)
		return sb_strbuf_adds(out, origin->url ? origin->url : "an address");
	return sb_strbuf_addf(out, "registry %s (%s)", origin->registry ? origin->registry : "?",
			origin->trusted ? "trusted" : "not trusted");
}

const char *sb_origin_kind_text(enum sb_origin_kind kind)
{
	return kinds[kind].word;
}
