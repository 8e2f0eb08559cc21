/* SPDX-License-Identifier: ISC */
/* Runs in the parent before it forks: the standard descriptors first of all,
 * the user as soon as the socket is there, the rest last. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int
sandbox_become(const char *user, char *error, size_t error_size)
{
	const struct passwd *pw = getpwnam(user);

	if (pw == NULL) {
		snprintf(
		    error, error_size, "--user: there is no user '%s'", user);
		return -1;
	}
	if (geteuid() == pw->pw_uid)
		return 0; /* started anew by SIGHUP, or by that user */
	if (initgroups(user, pw->pw_gid) == -1 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1) {
		snprintf(error, error_size, "--user: cannot become '%s': %s",
		    user, strerror(errno));
		return -1;
	}
	if (pw->pw_uid != 0 && setuid(0) == 0) {
		snprintf(error, error_size,
		    "--user: root could be regained; refusing to run");
		return -1;
	}
	return 0;
}

void
sandbox_fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
}

void
sandbox_no_new_privileges(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
