/* The verbs of attacks.c for the table in hostile.c. */
#ifndef TESTS_HOSTILE_ATTACKS_H
#define TESTS_HOSTILE_ATTACKS_H

/* Runs argv[1] when it is one of these; 0 when it is not. */
int attack_run(char **argv, int *ret_code);

#endif
