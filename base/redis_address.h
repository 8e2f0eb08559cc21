/* SPDX-License-Identifier: ISC */
/* Where Redis is, from a URL.  Pure. */
#ifndef REDIS_ADDRESS_H
#define REDIS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where Redis is; of host and unix_path exactly one is set. */
struct redis_address {
	char *host; /* owned, as are all here */
	uint16_t port;
	char *unix_path;
	char *user;		   /* NULL: the default user */
	char *password;		   /* NULL: no AUTH */
	const char *password_file; /* borrowed; what stands there now wins over
				    * password.  NULL: none */
	unsigned db;
	const char *prefix; /* borrowed: of the store's names */
};

/*
 * Read redis://[user:password@]host[:port][/db], or unix:///path[?db=N]; parts
 * may be percent-encoded.  Returns 0 and fills *ra (owned), or -1 with a
 * sentence in error.
 */
int redis_address_parse(
    struct redis_address *ra, const char *url, char *error, size_t error_size);
void redis_address_free(struct redis_address *ra);

/* Is this error reply of Redis about the password? */
bool redis_address_is_refusal(const char *why);

/* A sentence that says where, without the password, and why. */
void redis_address_put_error(const struct redis_address *ra, const char *why,
    char *error, size_t error_size);

#endif
