/* SPDX-License-Identifier: ISC */
/*
 * The settings of fcgi-sse and sse-publish: one table of options, each with a
 * default, a flag --name, and in between, unless it is of one call only, an
 * environment variable FCGI_SSE_NAME; the later wins.  It opens
 * nothing but the password file.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/redis_address.h"

#define RECORD_PATTERNS_MAX 64 /* of --record */

/* Which program reads the table; a row names those that have the option. */
enum config_program { PROGRAM_FCGI_SSE = 1, PROGRAM_SSE_PUBLISH = 2 };

struct config {
	/* strings are borrowed from argv or the environment, NULL: not given */
	const char *socket_path;
	uint64_t socket_mode;
	const char *socket_owner;
	const char *address;
	uint64_t port; /* 0: none */
	const char *user;
	const char *redis_url;
	const char *redis_password_file;
	const char *prefix; /* never NULL after config_read */
	const char *record; /* patterns, comma-separated; "none" */
	uint64_t history_count, history_age_s, history_bytes; /* 0: not given */
	uint64_t heartbeat_s;
	uint64_t retry_ms;
	uint64_t max_lifetime_s;
	uint64_t request_timeout_s;
	uint64_t write_timeout_s;
	uint64_t drain_s;
	uint64_t max_streams;
	uint64_t streams_per_process; /* 1: none is carried */
	uint64_t max_channels;
	uint64_t event_bytes;
	const char *log;
	bool debug;
	bool version;
	bool help;
	/* sse-publish alone */
	const char *event;
	bool lines;
	const char *key;
	uint64_t wait_s; /* 0: not given */

	struct redis_address redis;
	int operand_index; /* argv's first operand */
	char prefix_of_db[16];
	char error[256]; /* why config_read failed: a sentence */
};

/*
 * Fill cfg for a program from defaults, environment and argv (argc 0: the
 * environment alone, as in CGI).  The strings of argv and the environment must
 * live as long as cfg.  Does not read the password file.
 * Returns 0, or -1 with a sentence in cfg->error and nothing to release.
 */
int config_read(struct config *cfg, enum config_program program, int argc,
    char *const argv[]);

/*
 * Read what --redis-password-file names into cfg->redis.password: its first
 * line.  Called after root is dropped: each connection reads it again
 * (redis.password_file), for the password may change.  Returns 0 (also if no
 * file was named), or -1 with cfg->error.
 */
int config_read_password(struct config *cfg);

/* Release what cfg owns. */
void config_free(struct config *cfg);

/* Print the table's rows of a program, with defaults, for --help. */
void config_print_options(FILE *out, enum config_program program);

#endif
