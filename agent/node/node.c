#include "sb_node.h"
