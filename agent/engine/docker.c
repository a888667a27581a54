#include "sb_engine.h"
