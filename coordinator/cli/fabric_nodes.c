#include "fabric_nodes.h"

const Sparkbus__FabricState *fabric_state(const Sparkbus__NodeState *state)
{
	return state && state->telemetry ? state->telemetry->fabric : NULL;
}
