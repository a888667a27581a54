/* hear_table.c - frames, the links that they are for, and the machines that they tell of. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "hear_parts.h"

#define TEXT_MAX 64u

/* What stands before the message in a frame: short ones are padded on the wire, so its length. */
struct head {
	uint8_t magic[4], version, zero;
	uint16_t len; /* of the message; network byte order */
};
static const uint8_t magic[4] = { 's', 'b', 'u', 's' };
#define VERSION 1

struct machine {
	Sparkbus__Heard message;
	char id[TEXT_MAX], node[TEXT_MAX], interface[TEXT_MAX], mac[18];
	uint64_t heard_ms;
};

/* A link on which this machine speaks and listens. */
struct ear {
	unsigned index;
	bool stays;
	char name[TEXT_MAX], mac[18];
	uint64_t said_ms; /* 0 = say something now */
	struct machine **machines;
	Sparkbus__Heard **list; /* as the answer has it */
	size_t n;
};

struct hear_table {
	char *node, *setting;
	char machine_id[TEXT_MAX];
	struct ear ears[HEAR_LINKS_MAX];
	size_t n;
};

struct hear_table *hear_table_new(const char *node, const char *setting)
{
	SB_CLEANUP(hear_table_freep) struct hear_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->node = strdup(node);
	t->setting = strdup(setting);
	return t->node && t->setting ? sb_steal(t) : NULL;
}

static void ear_done(struct ear *ear)
{
	for (size_t i = 0; i < ear->n; i++)
		free(ear->machines[i]);
	free(ear->machines);
	free(ear->list);
	*ear = (struct ear){ 0 };
}

void hear_table_free(struct hear_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++)
		ear_done(&t->ears[i]);
	free(t->node);
	free(t->setting);
	free(t);
}

/* --- links --- */

static bool is_named(const char *names, const char *name)
{
	size_t len = strlen(name);

	while (*names) {
		names += strspn(names, ", ");
		if (strcspn(names, ", ") == len && strncmp(names, name, len) == 0)
			return len > 0;
		names += strcspn(names, ", ");
	}
	return false;
}

static bool has_rdma(const Sparkbus__FabricState *state, const Sparkbus__Link *link)
{
	for (size_t i = 0; i < state->n_rdma; i++)
		if (strcmp(state->rdma[i]->netdev, link->name) == 0)
			return true;
	return false;
}

static bool is_candidate(const struct hear_table *t, const Sparkbus__FabricState *state,
		const Sparkbus__Link *link)
{
	if (!link->admin_up || !link->has_carrier_case || !link->carrier || !*link->mac)
		return false;
	if (strcmp(t->setting, "auto") != 0)
		return strcmp(t->setting, "off") != 0 && is_named(t->setting, link->name);
	return has_rdma(state, link) && !*link->kind && !link->wireless &&
			strcmp(link->name, state->management_interface) != 0;
}

static struct ear *ear_of(struct hear_table *t, unsigned index)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->ears[i].index == index)
			return &t->ears[i];
	return NULL;
}

static void forget_silent(struct ear *ear, uint64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < ear->n; i++) {
		if (now_ms - ear->machines[i]->heard_ms > HEAR_FORGET_MS)
			free(ear->machines[i]);
		else
			ear->machines[n++] = ear->machines[i];
	}
	ear->n = n;
}

void hear_table_links(struct hear_table *t, const Sparkbus__FabricState *state, uint64_t now_ms)
{
	size_t n = 0;

	snprintf(t->machine_id, sizeof(t->machine_id), "%s", state->machine_id);
	for (size_t i = 0; i < t->n; i++)
		t->ears[i].stays = false;
	for (size_t i = 0; i < state->n_links; i++) {
		const Sparkbus__Link *link = state->links[i];
		struct ear *ear = ear_of(t, link->index);

		if (!is_candidate(t, state, link))
			continue;
		if (!ear && t->n < HEAR_LINKS_MAX) {
			ear = &t->ears[t->n++];
			*ear = (struct ear){ .index = link->index };
		}
		if (!ear)
			continue;
		ear->stays = true;
		snprintf(ear->name, sizeof(ear->name), "%s", link->name);
		snprintf(ear->mac, sizeof(ear->mac), "%s", link->mac);
	}
	for (size_t i = 0; i < t->n; i++) {
		if (!t->ears[i].stays) {
			ear_done(&t->ears[i]);
			continue;
		}
		forget_silent(&t->ears[i], now_ms);
		t->ears[n++] = t->ears[i];
	}
	t->n = n;
}

/* --- speaking --- */

static size_t encode(
		const struct hear_table *t, const struct ear *ear, uint8_t frame[HEAR_FRAME_MAX])
{
	Sparkbus__Beacon beacon = SPARKBUS__BEACON__INIT;
	struct head head = { .version = VERSION };
	size_t len;

	beacon.machine_id = (char *)t->machine_id;
	beacon.node = t->node;
	beacon.interface = (char *)ear->name;
	len = sparkbus__beacon__get_packed_size(&beacon);
	if (len > HEAR_FRAME_MAX - sizeof(head))
		return 0;
	memcpy(head.magic, magic, sizeof(magic));
	head.len = htons((uint16_t)len);
	memcpy(frame, &head, sizeof(head));
	sparkbus__beacon__pack(&beacon, frame + sizeof(head));
	return sizeof(head) + len;
}

bool hear_table_due(struct hear_table *t, uint64_t now_ms, unsigned *ret_index,
		uint8_t ret_frame[HEAR_FRAME_MAX], size_t *ret_len)
{
	for (size_t i = 0; i < t->n; i++) {
		struct ear *ear = &t->ears[i];

		if (ear->said_ms && now_ms - ear->said_ms < HEAR_EVERY_MS)
			continue;
		ear->said_ms = now_ms;
		*ret_index = ear->index;
		*ret_len = encode(t, ear, ret_frame);
		if (*ret_len)
			return true;
	}
	return false;
}

/* --- listening --- */

/* Names and numbers are printable and have no blanks; what has them is somebody else's. */
static bool is_word(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len < TEXT_MAX;
}

static Sparkbus__Beacon *decode(const void *frame, size_t len)
{
	Sparkbus__Beacon *beacon;
	struct head head;

	if (len < sizeof(head))
		return NULL;
	memcpy(&head, frame, sizeof(head));
	if (memcmp(head.magic, magic, sizeof(magic)) != 0 || head.version != VERSION ||
			ntohs(head.len) > len - sizeof(head))
		return NULL;
	beacon = sparkbus__beacon__unpack(
			NULL, ntohs(head.len), (const uint8_t *)frame + sizeof(head));
	if (beacon && is_word(beacon->machine_id) && *beacon->node && is_word(beacon->node) &&
			is_word(beacon->interface))
		return beacon;
	if (beacon)
		sparkbus__beacon__free_unpacked(beacon, NULL);
	return NULL;
}

/* A function may hear its twin, and itself through a switch. */
static bool is_own(const struct hear_table *t, const char *mac, const Sparkbus__Beacon *beacon)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->ears[i].mac, mac) == 0)
			return true;
	return *t->machine_id && strcmp(t->machine_id, beacon->machine_id) == 0;
}

static struct machine *machine_of(struct ear *ear, const char *mac)
{
	struct machine **machines;
	struct machine *machine;

	for (size_t i = 0; i < ear->n; i++)
		if (strcmp(ear->machines[i]->mac, mac) == 0)
			return ear->machines[i];
	if (ear->n == HEAR_MACHINES_MAX)
		return NULL;
	machines = reallocarray(ear->machines, ear->n + 1, sizeof(struct machine *));
	if (machines)
		ear->machines = machines;
	machine = machines ? calloc(1, sizeof(*machine)) : NULL;
	if (!machine)
		return NULL;
	ear->machines[ear->n++] = machine;
	ear->said_ms = 0; /* it may not have heard us yet */
	return machine;
}

bool hear_table_take(struct hear_table *t, unsigned index, const uint8_t mac[HEAR_MAC_BYTES],
		const void *frame, size_t len, uint64_t now_ms)
{
	struct ear *ear = ear_of(t, index);
	Sparkbus__Beacon *beacon = ear ? decode(frame, len) : NULL;
	struct machine *machine = NULL;
	char text[18];

	if (!beacon)
		return false;
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
			mac[3], mac[4], mac[5]);
	if (!is_own(t, text, beacon))
		machine = machine_of(ear, text);
	if (machine) {
		snprintf(machine->mac, sizeof(machine->mac), "%s", text);
		snprintf(machine->id, sizeof(machine->id), "%s", beacon->machine_id);
		snprintf(machine->node, sizeof(machine->node), "%s", beacon->node);
		snprintf(machine->interface, sizeof(machine->interface), "%s", beacon->interface);
		machine->heard_ms = now_ms;
	}
	sparkbus__beacon__free_unpacked(beacon, NULL);
	return machine != NULL;
}

/* --- telling --- */

static void fill_link(struct ear *ear, Sparkbus__Link *link, uint64_t now_ms)
{
	Sparkbus__Heard **list = reallocarray(ear->list, ear->n + 1, sizeof(Sparkbus__Heard *));

	if (!list)
		return;
	ear->list = list;
	for (size_t i = 0; i < ear->n; i++) {
		struct machine *machine = ear->machines[i];

		sparkbus__heard__init(&machine->message);
		machine->message.machine_id = machine->id;
		machine->message.node = machine->node;
		machine->message.interface = machine->interface;
		machine->message.mac = machine->mac;
		machine->message.age_ms = now_ms - machine->heard_ms;
		list[i] = &machine->message;
	}
	link->heard = list;
	link->n_heard = ear->n;
}

void hear_table_fill(struct hear_table *t, Sparkbus__FabricState *state, uint64_t now_ms)
{
	for (size_t i = 0; i < state->n_links; i++) {
		Sparkbus__Link *link = state->links[i];
		struct ear *ear = ear_of(t, link->index);

		link->heard = NULL;
		link->n_heard = 0;
		if (ear && ear->n)
			fill_link(ear, link, now_ms);
	}
	state->listening = t->n > 0;
}
