#include <string.h>

#include "internal.h"

#define BUCKETS 256 /* ids are random, so their first byte spreads them */

struct entry {
	struct replay_key key;
	uint64_t body_hash;
	uint8_t *data;
	size_t len;
	struct entry *next_in_bucket;
	struct entry *newer;
};

struct replay {
	struct entry *buckets[BUCKETS];
	struct entry *oldest, *newest;
	size_t count, bytes;
};

struct replay *replay_new(void)
{
	return calloc(1, sizeof(struct replay));
}

bool replay_key_eq(const struct replay_key *a, const struct replay_key *b)
{
	return a->door == b->door && !memcmp(a->id, b->id, sizeof(a->id));
}

static void drop_oldest(struct replay *replay)
{
	struct entry *entry = replay->oldest;
	struct entry **at = &replay->buckets[entry->key.id[0]];

	while (*at != entry)
		at = &(*at)->next_in_bucket;
	*at = entry->next_in_bucket;
	replay->oldest = entry->newer;
	if (!replay->oldest)
		replay->newest = NULL;
	replay->count--;
	replay->bytes -= entry->len;
	free(entry->data);
	free(entry);
}

void replay_free(struct replay *replay)
{
	if (!replay)
		return;
	while (replay->oldest)
		drop_oldest(replay);
	free(replay);
}

void replay_add(struct replay *replay, const struct replay_key *key, uint64_t body_hash,
		uint8_t *data, size_t len)
{
	struct entry *entry = len > SB_RPC_REPLAY_MAX_BYTES ? NULL : malloc(sizeof(*entry));

	/* Without memory, or too large for it, the answer is given and not remembered. */
	if (!entry) {
		free(data);
		return;
	}
	while (replay->count >= SB_RPC_REPLAY_MAX ||
			(replay->count && replay->bytes + len > SB_RPC_REPLAY_MAX_BYTES))
		drop_oldest(replay);
	*entry = (struct entry){ .key = *key, .body_hash = body_hash, .data = data, .len = len };
	entry->next_in_bucket = replay->buckets[key->id[0]];
	replay->buckets[key->id[0]] = entry;
	if (replay->newest)
		replay->newest->newer = entry;
	else
		replay->oldest = entry;
	replay->newest = entry;
	replay->count++;
	replay->bytes += len;
}

bool replay_find(struct replay *replay, const struct replay_key *key, struct replay_hit *ret)
{
	for (struct entry *e = replay->buckets[key->id[0]]; e; e = e->next_in_bucket) {
		if (!replay_key_eq(&e->key, key))
			continue;
		*ret = (struct replay_hit){ e->body_hash, e->data, e->len };
		return true;
	}
	return false;
}
