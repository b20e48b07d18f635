/* System calls of filter_table.h that are newer than Debian 12's headers. */
#ifndef ENGINES_SANDBOX_FILTER_NUMBERS_H
#define ENGINES_SANDBOX_FILTER_NUMBERS_H

#include <sys/syscall.h>

#define NUMBER_fchmodat2 452
#define NUMBER_map_shadow_stack 453
#define NUMBER_futex_wake 454
#define NUMBER_futex_wait 455
#define NUMBER_futex_requeue 456
#define NUMBER_mseal 462
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 NUMBER_fchmodat2
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack NUMBER_map_shadow_stack
#endif
#ifndef SYS_futex_wake
#define SYS_futex_wake NUMBER_futex_wake
#endif
#ifndef SYS_futex_wait
#define SYS_futex_wait NUMBER_futex_wait
#endif
#ifndef SYS_futex_requeue
#define SYS_futex_requeue NUMBER_futex_requeue
#endif
#ifndef SYS_mseal
#define SYS_mseal NUMBER_mseal
#endif

#endif
