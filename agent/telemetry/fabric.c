/* fabric.c - the network of this node, put together: what rtnetlink says now, and what the thread
 * that reads devices said last. */
#include <stdio.h>
#include <string.h>

#include "hardware_parts.h"
#include "links_parts.h"
#include "telemetry_parts.h"

#define SLOW_MS     3000u /* devices that work are read within milliseconds */
#define PORT_ACTIVE 4u

struct fabric {
	struct links *links;  /* NULL where there is no rtnetlink */
	char links_error[96]; /* and why */
	struct hardware *hardware;
	Sparkbus__Telemetry *read; /* what was read last; NULL before the first */
	char slow_error[96];
	sb_telemetry_say_fn *say;
	void *ctx;
	Sparkbus__FabricState state;
	Sparkbus__Sample links_sample, rdma_sample, sensors_sample;
	Sparkbus__SensorState sensors;
};

static void free_read(struct fabric *f)
{
	if (f->read)
		sparkbus__telemetry__free_unpacked(f->read, NULL);
	f->read = NULL;
}

static void on_change(void *ctx)
{
	hardware_ask(((struct fabric *)ctx)->hardware, true);
}

int fabric_new(const struct sb_telemetry_env *env, struct fabric **ret, struct sb_err *err)
{
	SB_CLEANUP(fabric_freep) struct fabric *f = calloc(1, sizeof(*f));
	struct hardware_env hardware = { .sys_root = env->sys_root, .verbs = verbs_read };
	struct links_env links = { .loop = env->loop,
		.say = env->say,
		.say_ctx = env->ctx,
		.changed = on_change,
		.changed_ctx = f };
	struct sb_err why = SB_ERR_INIT;
	int rc;

	if (!f)
		return sb_err_nomem(err);
	f->say = env->say;
	f->ctx = env->ctx;
	rc = hardware_reader_new(&hardware, &f->hardware, err);
	if (rc < 0)
		return rc;
	if (links_new(&links, &f->links, &why) < 0)
		snprintf(f->links_error, sizeof(f->links_error), "%.95s", why.text);
	*ret = sb_steal(f);
	return 0;
}

void fabric_free(struct fabric *f)
{
	if (!f)
		return;
	links_free(f->links);
	hardware_free(f->hardware);
	free_read(f);
	free(f);
}

/* --- news of RDMA ports --- */

static void say(struct fabric *f, const char *kind, const char *device, uint32_t port,
		const char *what)
{
	char text[120];

	snprintf(text, sizeof(text), "%.60s: port %u is %s", device, port, what);
	if (f->say)
		f->say(f->ctx, kind, text);
}

static const Sparkbus__RdmaPort *port_of(
		const Sparkbus__FabricState *state, const char *device, uint32_t number)
{
	for (size_t i = 0; i < state->n_rdma; i++)
		for (size_t k = 0; k < state->rdma[i]->n_ports; k++)
			if (strcmp(state->rdma[i]->name, device) == 0 &&
					state->rdma[i]->ports[k]->number == number)
				return state->rdma[i]->ports[k];
	return NULL;
}

/* Devices that come and go are told by their links. */
static void tell(struct fabric *f, const Sparkbus__FabricState *before,
		const Sparkbus__FabricState *after)
{
	for (size_t i = 0; i < before->n_rdma; i++)
		for (size_t k = 0; k < before->rdma[i]->n_ports; k++) {
			const Sparkbus__RdmaPort *old = before->rdma[i]->ports[k];
			const char *name = before->rdma[i]->name;
			const Sparkbus__RdmaPort *new = port_of(after, name, old->number);

			if (!new || (new->state == PORT_ACTIVE) == (old->state == PORT_ACTIVE))
				continue;
			if (new->state == PORT_ACTIVE)
				say(f, "rdma.up", name, old->number, "active");
			else
				say(f, "rdma.down", name, old->number, "not active any more");
		}
}

/* --- putting together --- */

static void take_read(struct fabric *f)
{
	uint64_t busy_ms = 0;
	Sparkbus__Telemetry *fresh = hardware_take(f->hardware, &busy_ms);

	if (fresh) {
		if (f->read && f->read->fabric && fresh->fabric)
			tell(f, f->read->fabric, fresh->fabric);
		free_read(f);
		f->read = fresh;
	}
	*f->slow_error = '\0';
	if (busy_ms >= SLOW_MS)
		snprintf(f->slow_error, sizeof(f->slow_error), "a device has not answered for %u s",
				(unsigned)(busy_ms / 1000));
}

/* rtnetlink's links with what only sysfs knows of them. sysfs may be of another network namespace,
 * which has other links by the same names. */
static void add_hardware(struct fabric *f, const Sparkbus__FabricState *read)
{
	for (size_t i = 0; i < f->state.n_links; i++) {
		Sparkbus__Link *link = f->state.links[i];
		const Sparkbus__Link *from = NULL;

		for (size_t k = 0; k < read->n_links && !from; k++)
			if (read->links[k]->index == link->index &&
					strcmp(read->links[k]->name, link->name) == 0)
				from = read->links[k];
		if (from)
			links_model_add_hardware(link, from);
	}
}

static void take_sample(const Sparkbus__Sample *from, uint64_t age_ms, const char *slow,
		Sparkbus__Sample *ret)
{
	sparkbus__sample__init(ret);
	ret->source = from->source;
	ret->error = *slow ? (char *)slow : from->error;
	ret->age_ms = age_ms;
}

static void view_read(struct fabric *f)
{
	const Sparkbus__FabricState *read = f->read ? f->read->fabric : NULL;

	f->state.rdma_sample = NULL;
	if (!read)
		return;
	add_hardware(f, read);
	f->state.rdma = read->rdma;
	f->state.n_rdma = read->n_rdma;
	f->state.has_hotplug_case = read->has_hotplug_case;
	f->state.hotplug_enabled = read->hotplug_enabled;
	f->state.has_pci_case = read->has_pci_case;
	f->state.connectx_functions = read->connectx_functions;
	f->state.machine_id = read->machine_id;
	f->state.rdma_sample = &f->rdma_sample;
	take_sample(read->rdma_sample, sb_now_boot_ms() - f->read->boot_ms, f->slow_error,
			&f->rdma_sample);
}

/* Without an RDMA device the lowest address of a network card stands for the machine. */
static void take_machine_id(struct fabric *f)
{
	if (*f->state.machine_id)
		return;
	for (size_t i = 0; i < f->state.n_links; i++) {
		const Sparkbus__Link *link = f->state.links[i];

		if (*link->pci && *link->mac &&
				(!*f->state.machine_id ||
						strcmp(link->mac, f->state.machine_id) < 0))
			f->state.machine_id = link->mac;
	}
}

void fabric_tick(struct fabric *f)
{
	take_read(f);
	if (f->links)
		links_tick(f->links);
	hardware_ask(f->hardware, false);
}

Sparkbus__FabricState *fabric_get(struct fabric *f)
{
	take_read(f);
	sparkbus__fabric_state__init(&f->state);
	sparkbus__sample__init(&f->links_sample);
	f->links_sample.source = (char *)"rtnetlink";
	f->links_sample.error = f->links ? (char *)links_error(f->links) : f->links_error;
	f->state.links_sample = &f->links_sample;
	if (f->links)
		links_model_view(links_get(f->links), &f->state);
	view_read(f);
	take_machine_id(f);
	return &f->state;
}

Sparkbus__SensorState *fabric_sensors(struct fabric *f)
{
	const Sparkbus__SensorState *read = f->read ? f->read->sensors : NULL;

	if (!read)
		return NULL;
	f->sensors = *read;
	f->sensors.sample = &f->sensors_sample;
	take_sample(read->sample, sb_now_boot_ms() - f->read->boot_ms, f->slow_error,
			&f->sensors_sample);
	return &f->sensors;
}
