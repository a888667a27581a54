#include "sb_rpc.h"
