/* samp: the program. Everything is in src/command. */
#include "command/command.h"

int main(int argc, char **argv) { return samp_command_main(argc, argv); }
