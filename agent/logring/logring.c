#include "sb_logring.h"
