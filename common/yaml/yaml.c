#include "sb_yaml.h"
