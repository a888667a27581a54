#include "sb_tls.h"
