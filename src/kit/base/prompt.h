/*
 * Who answers is brought to a processor soon.
 *
 * Theory. The scheduler lets a running task use up its slice (about 3 ms) before one that wakes
 * gets the processor, whatever their nice values. A task that asks for a short slice interrupts one
 * with a longer slice (Linux 6.12). It gets no more processor time for that, only sooner and in
 * smaller pieces: right for a process that works for fractions of a millisecond while somebody
 * waits.
 */
#ifndef KIT_BASE_PROMPT_H
#define KIT_BASE_PROMPT_H

/* This process asks for short slices; its children do not. On an older kernel nothing changes. */
void prompt_self(void);

#endif
