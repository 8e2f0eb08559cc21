/* SPDX-License-Identifier: ISC */
/* SIGTERM, remembered: it arrives only while a process waits. */
#ifndef STOP_H
#define STOP_H

#include <signal.h>
#include <stdbool.h>

/* From now on SIGTERM is remembered.  It must be blocked already or is blocked
 * now. */
void stop_catch(void);

/* Has SIGTERM come?  Also if it is still blocked.  (In a loop that waits with
 * stop_wait_mask the second does, and costs no system call.) */
bool stop_is_asked(void);
bool stop_has_arrived(void);

/* The mask for ppoll(): what it was, without SIGTERM. */
const sigset_t *stop_wait_mask(void);

#endif
