/* The verbs of cupel-sandbox. Each gets the arguments behind its name and returns the exit status.
 */
#ifndef PROGRAMS_CUPEL_SANDBOX_COMMANDS_H
#define PROGRAMS_CUPEL_SANDBOX_COMMANDS_H

enum {
	COMMAND_EXIT_FAILED = 1,
	COMMAND_EXIT_USAGE = 2,
	COMMAND_EXIT_LIMIT = 125, /* ended by a limit or by us; 128 + n: by signal n */
};

int command_run(int argc, char **argv);
int command_pool(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_selftest(int argc, char **argv);
int command_selftest_payload(int argc, char **argv); /* what selftest runs inside */

#endif
