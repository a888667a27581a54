#include "sb_wire.h"
