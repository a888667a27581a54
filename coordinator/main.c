#include "sb_cli.h"

int main(int argc, char **argv)
{
	return sb_cli_main(argc, argv);
}
