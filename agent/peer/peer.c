#include "sb_peer.h"
