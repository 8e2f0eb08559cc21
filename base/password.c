/* SPDX-License-Identifier: ISC */
/* The password of Redis from a file. */
#include "base/password.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int
password_read(const char *path, char **password, char *error, size_t error_size)
{
	char line[4096];
	FILE *f;

	if ((f = fopen(path, "re")) == NULL ||
	    fgets(line, sizeof(line), f) == NULL) {
		snprintf(error, error_size,
		    "cannot read a password from %.120s: %s", path,
		    f == NULL ? strerror(errno) : "the file is empty");
		if (f != NULL)
			fclose(f);
		return -1;
	}
	fclose(f);
	line[strcspn(line, "\r\n")] = '\0';
	*password = strdup(line);
	explicit_bzero(line, sizeof(line));
	if (*password != NULL)
		return 0;
	snprintf(error, error_size, "out of memory");
	return -1;
}

void
password_free(char *password)
{
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
}

bool
password_is_lasting(const char *path)
{
	struct stat st;

	return stat(path, &st) == -1 || S_ISREG(st.st_mode);
}
