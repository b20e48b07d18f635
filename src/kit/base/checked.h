/* Overflow-checked arithmetic; becomes <stdckdint.h> when C23 is the base. True on overflow. */
#ifndef KIT_BASE_CHECKED_H
#define KIT_BASE_CHECKED_H

#define checked_add(a, b, ret) __builtin_add_overflow((a), (b), (ret))
#define checked_sub(a, b, ret) __builtin_sub_overflow((a), (b), (ret))
#define checked_mul(a, b, ret) __builtin_mul_overflow((a), (b), (ret))

#endif
