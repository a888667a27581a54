/* sensors.c - thermometers: the zones of the board, and the devices that have their own. */
#include <stdio.h>
#include <string.h>

#include "hardware_parts.h"

/* Beyond these a reading says that there is no thermometer. */
#define COLDEST_MC (-60000)
#define HOTTEST_MC 250000

bool sensor_parse(const char *text, int32_t *ret)
{
	bool below = *text == '-';
	uint64_t value;

	if (!sys_parse_u64(text + below, &value) || value > HOTTEST_MC)
		return false;
	*ret = below ? -(int32_t)value : (int32_t)value;
	return *ret >= COLDEST_MC;
}

static bool read_value(int dir, const char *path, int32_t *ret)
{
	char text[SYS_TEXT_MAX];

	return sys_text(dir, path, text, sizeof(text)) && sensor_parse(text, ret);
}

static Sparkbus__Sensor *add(Sparkbus__SensorState *state, const char *name, int32_t value)
{
	Sparkbus__Sensor *sensor =
			state->n_sensors < SENSORS_MAX ? HEAP_ADD(state, sensors, Sensor) : NULL;

	if (!sensor)
		return NULL;
	sensor->name = heap_text(name);
	sensor->millidegrees = value;
	return sensor;
}

static void read_zone(int dir, const char *name, Sparkbus__SensorState *state)
{
	char type[SYS_TEXT_MAX];
	Sparkbus__Sensor *sensor;
	int32_t value;

	if (strncmp(name, "thermal_zone", 12) != 0 || !read_value(dir, "temp", &value))
		return;
	sensor = add(state, name, value);
	if (sensor && sys_text(dir, "type", type, sizeof(type)))
		sensor->label = heap_text(type);
}

/* "temp3_input" is number 3; inputs may begin anywhere and have gaps. */
static bool is_input(const char *file, unsigned *ret)
{
	int end = 0;

	return sscanf(file, "temp%3u_input%n", ret, &end) == 1 && end && !file[end];
}

static void read_input(int dir, const char *name, unsigned number, Sparkbus__SensorState *state)
{
	char path[32], label[SYS_TEXT_MAX];
	Sparkbus__Sensor *sensor;
	int32_t value;

	snprintf(path, sizeof(path), "temp%u_input", number);
	sensor = read_value(dir, path, &value) ? add(state, name, value) : NULL;
	if (!sensor)
		return;
	snprintf(path, sizeof(path), "temp%u_label", number);
	if (sys_text(dir, path, label, sizeof(label)))
		sensor->label = heap_text(label);
	snprintf(path, sizeof(path), "temp%u_crit", number);
	if (read_value(dir, path, &value)) {
		sensor->has_critical_case = SPARKBUS__SENSOR__HAS_CRITICAL_CRITICAL_MILLIDEGREES;
		sensor->critical_millidegrees = value;
	}
}

static void read_device(int dir, const char *unused, Sparkbus__SensorState *state)
{
	SB_CLEANUP(sys_names_done) struct sys_names files = { 0 };
	char name[SYS_TEXT_MAX];
	unsigned number;

	if (!sys_text(dir, "name", name, sizeof(name)) || strcmp(name, "acpitz") == 0)
		return; /* the zones, once more */
	sys_names(dir, ".", &files);
	for (size_t i = 0; i < files.n; i++)
		if (is_input(files.names[i], &number))
			read_input(dir, name, number, state);
}

static void read_class(int sys, const char *path,
		void (*read)(int, const char *, Sparkbus__SensorState *),
		Sparkbus__SensorState *state)
{
	SB_CLEANUP(sys_names_done) struct sys_names names = { 0 };
	SB_CLEANUP(sb_closep) int class = sys_open(sys, path);

	if (class >= 0)
		sys_names(class, ".", &names);
	for (size_t i = 0; i < names.n; i++) {
		SB_CLEANUP(sb_closep) int dir = sys_open(class, names.names[i]);

		if (dir >= 0)
			read(dir, names.names[i], state);
	}
}

Sparkbus__SensorState *sensors_read(int sys)
{
	Sparkbus__SensorState *state = malloc(sizeof(*state));

	if (!state)
		return NULL;
	sparkbus__sensor_state__init(state);
	state->sample = malloc(sizeof(*state->sample));
	if (!state->sample) {
		free(state);
		return NULL;
	}
	sparkbus__sample__init(state->sample);
	state->sample->source = heap_text("/sys/class/thermal, /sys/class/hwmon");
	read_class(sys, "class/thermal", read_zone, state);
	read_class(sys, "class/hwmon", read_device, state);
	if (!state->n_sensors)
		state->sample->error = heap_text("no thermometer answers");
	return state;
}
