/* SPDX-License-Identifier: ISC */
/* A connection that the parent has accepted for a responder. */
#ifndef ACCEPTED_H
#define ACCEPTED_H

/* What the responder is told about it. */
enum admission {
	ADMISSION_OPEN,	   /* serve it */
	ADMISSION_FULL,	   /* all slots are taken: say so, and end */
	ADMISSION_STOPPING /* shutting down: likewise */
};

struct accepted {
	int fd;
	enum admission admission;
};

#endif
