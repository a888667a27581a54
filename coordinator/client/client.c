#include "sb_client.h"
