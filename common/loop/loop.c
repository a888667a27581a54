#include "sb_loop.h"
