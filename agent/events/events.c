#include "sb_events.h"
