#include "sb_bus.h"
