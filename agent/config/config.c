#include "sb_config.h"
