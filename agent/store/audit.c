#include "sb_store.h"
