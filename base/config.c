/* SPDX-License-Identifier: ISC */
/*
 * The option table and its three readers: environment, command line, --help.
 * A new option is one row here and one member in config.h.
 */
#include "base/config.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/parse.h"
#include "base/password.h"

enum option_type { TYPE_STRING, TYPE_NUMBER, TYPE_OCTAL, TYPE_FLAG };

struct option_row {
	const char *name;
	enum option_type type;
	size_t offset; /* of the member in struct config */
	uint64_t min, max;
	const char *initial; /* the default, as one would write it; or NULL */
	unsigned programs;
	bool has_variable;
	const char *argument; /* what stands after the = in --help */
	const char *help;
};

#define F PROGRAM_FCGI_SSE
#define P PROGRAM_SSE_PUBLISH
#define AT(member) offsetof(struct config, member)

static const struct option_row rows[] = {
	{ "socket", TYPE_STRING, AT(socket_path), 0, 0, NULL, F, true, "PATH",
	    "listen on this Unix socket" },
	{ "socket-mode", TYPE_OCTAL, AT(socket_mode), 0, 0777, "0660", F, true,
	    "MODE", "its permissions, octal" },
	{ "socket-owner", TYPE_STRING, AT(socket_owner), 0, 0, NULL, F, true,
	    "USER[:GROUP]", "its owner" },
	{ "address", TYPE_STRING, AT(address), 0, 0, "127.0.0.1", F, true,
	    "ADDRESS", "listen on this address (with --port)" },
	{ "port", TYPE_NUMBER, AT(port), 1, 65535, NULL, F, true, "PORT",
	    "listen on this TCP port; do not open it to strangers" },
	{ "user", TYPE_STRING, AT(user), 0, 0, NULL, F, true, "USER",
	    "give up root for this user, once the socket is open" },
	{ "redis", TYPE_STRING, AT(redis_url), 0, 0, "redis://127.0.0.1:6379/0",
	    F | P, true, "URL",
	    "redis://[user:password@]host:port/db or unix:///path?db=N" },
	{ "redis-password-file", TYPE_STRING, AT(redis_password_file), 0, 0,
	    NULL, F | P, true, "PATH",
	    "a file whose first line is the password" },
	{ "prefix", TYPE_STRING, AT(prefix), 0, 0, NULL, F | P, true, "PREFIX",
	    "of all names in Redis (default sse:, in db N sseN:)" },
	{ "record", TYPE_STRING, AT(record), 0, 0, "*", F, true, "PATTERN,...",
	    "channels whose plain PUBLISH is recorded; or none" },
	{ "history-count", TYPE_NUMBER, AT(history_count), 1, 1000000, NULL, F,
	    true, "N", "events kept of a channel (Redis says, else 200)" },
	{ "history-age", TYPE_NUMBER, AT(history_age_s), 1, 2592000, NULL, F,
	    true, "SECONDS", "for how long (Redis says, else 86400)" },
	{ "history-bytes", TYPE_NUMBER, AT(history_bytes), 1, 1ULL << 32, NULL,
	    F, true, "BYTES", "and how many bytes (Redis says, else 4194304)" },
	{ "heartbeat", TYPE_NUMBER, AT(heartbeat_s), 1, 3600, "15", F, true,
	    "SECONDS", "a sign of life after so much silence" },
	{ "retry", TYPE_NUMBER, AT(retry_ms), 0, 3600000, "3000", F, true, "MS",
	    "how long a client waits before it comes back" },
	{ "max-lifetime", TYPE_NUMBER, AT(max_lifetime_s), 1, 31536000, "3600",
	    F, true, "SECONDS", "end a stream after this, give or take 10 %" },
	{ "request-timeout", TYPE_NUMBER, AT(request_timeout_s), 1, 3600, "10",
	    F, true, "SECONDS", "for a request to arrive whole" },
	{ "write-timeout", TYPE_NUMBER, AT(write_timeout_s), 1, 3600, "30", F,
	    true, "SECONDS", "end a stream whose client does not read" },
	{ "drain", TYPE_NUMBER, AT(drain_s), 0, 3600, "10", F, true, "SECONDS",
	    "at SIGTERM, end the streams spread over this time" },
	{ "max-streams", TYPE_NUMBER, AT(max_streams), 1, 1000000, "1000", F,
	    true, "N", "streams at a time" },
	{ "streams-per-process", TYPE_NUMBER, AT(streams_per_process), 1, 10000,
	    "1", F, true, "N", "live streams that may share a process" },
	{ "max-channels", TYPE_NUMBER, AT(max_channels), 1, 1024, "64", F, true,
	    "N", "channels of one stream" },
	{ "event-bytes", TYPE_NUMBER, AT(event_bytes), 1, 16777216, "1048576",
	    F | P, true, "BYTES", "a larger event is refused" },
	{ "event", TYPE_STRING, AT(event), 0, 0, NULL, P, false, "NAME",
	    "the event's name (default message)" },
	{ "lines", TYPE_FLAG, AT(lines), 0, 0, NULL, P, false, NULL,
	    "each line of standard input is an event" },
	{ "key", TYPE_STRING, AT(key), 0, 0, NULL, P, false, "KEY",
	    "publish once, however often this is called in ten minutes" },
	{ "wait", TYPE_NUMBER, AT(wait_s), 1, 31536000, NULL, P, true,
	    "SECONDS",
	    "with --lines, for a Redis that is away (60 at the end)" },
	{ "log", TYPE_STRING, AT(log), 0, 0, "stderr", F, true, "WHERE",
	    "stderr, syslog, or a file to append to" },
	{ "debug", TYPE_FLAG, AT(debug), 0, 0, NULL, F, true, NULL,
	    "log what happens, too" },
	{ "version", TYPE_FLAG, AT(version), 0, 0, NULL, F | P, false, NULL,
	    "print the version" },
	{ "help", TYPE_FLAG, AT(help), 0, 0, NULL, F | P, false, NULL,
	    "print this" },
};

#undef F
#undef P
#undef AT

#define NROWS (sizeof(rows) / sizeof(rows[0]))
/* What getopt_long returns for the first; each has its own, or the beginning
 * of several, such as --history, would be taken for the first of them. */
#define FIRST_OPTION 256

static int
set_octal(uint64_t *member, const struct option_row *row, const char *value)
{
	uint64_t n = 0;
	const char *p = value;

	for (; *p >= '0' && *p <= '7' && n <= row->max; p++)
		n = n * 8 + (uint64_t)(*p - '0');
	if (p == value || *p != '\0' || n > row->max)
		return -1;
	*member = n;
	return 0;
}

/* where says what to correct: "--port" or "FCGI_SSE_PORT" */
static int
set_value(struct config *cfg, const struct option_row *row, const char *value,
    const char *where)
{
	char *member = (char *)cfg + row->offset;
	uint64_t n;
	bool on;

	switch (row->type) {
	case TYPE_STRING:
		memcpy(member, &value, sizeof(value));
		return 0;
	case TYPE_FLAG:
		if (strcmp(value, "0") == 0 || strcmp(value, "1") == 0) {
			on = value[0] == '1';
			memcpy(member, &on, sizeof(on));
			return 0;
		}
		snprintf(cfg->error, sizeof(cfg->error),
		    "%s: '%.40s' is neither 0 nor 1", where, value);
		return -1;
	case TYPE_OCTAL:
		if (set_octal(&n, row, value) == 0) {
			memcpy(member, &n, sizeof(n));
			return 0;
		}
		snprintf(cfg->error, sizeof(cfg->error),
		    "%s: '%.40s' is not an octal mode such as %s", where, value,
		    row->initial);
		return -1;
	case TYPE_NUMBER:
		if (parse_u64(value, strlen(value), row->max, &n) == 0 &&
		    n >= row->min) {
			memcpy(member, &n, sizeof(n));
			return 0;
		}
		snprintf(cfg->error, sizeof(cfg->error),
		    "%s: '%.40s' is not a number from %llu to %llu", where,
		    value, (unsigned long long)row->min,
		    (unsigned long long)row->max);
		return -1;
	}
	return -1;
}

/* "history-age" -> "FCGI_SSE_HISTORY_AGE" */
static void
put_variable_name(char *variable, size_t size, const char *name)
{
	size_t i;

	snprintf(variable, size, "FCGI_SSE_%s", name);
	for (i = 0; variable[i] != '\0'; i++) {
		if (variable[i] == '-')
			variable[i] = '_';
		else if (variable[i] >= 'a' && variable[i] <= 'z')
			variable[i] = (char)(variable[i] - 'a' + 'A');
	}
}

static int
read_environment(struct config *cfg, enum config_program program)
{
	char variable[64];
	const char *value;
	size_t i;

	for (i = 0; i < NROWS; i++) {
		if (!(rows[i].programs & program) || !rows[i].has_variable)
			continue;
		put_variable_name(variable, sizeof(variable), rows[i].name);
		value = getenv(variable);
		if (value != NULL && value[0] != '\0' &&
		    set_value(cfg, &rows[i], value, variable) == -1)
			return -1;
	}
	return 0;
}

/* Why getopt_long returned c.  It says by optopt which option is meant, but an
 * unknown long one only by its place. */
static void
put_option_error(struct config *cfg, int c, char *const argv[])
{
	if (c == ':')
		snprintf(cfg->error, sizeof(cfg->error), "%.100s needs a value",
		    argv[optind - 1]);
	else if (optopt >= FIRST_OPTION)
		snprintf(cfg->error, sizeof(cfg->error),
		    "%.100s has a value, and needs none", argv[optind - 1]);
	else if (optopt != 0)
		snprintf(cfg->error, sizeof(cfg->error),
		    "-%c is not an option; --help lists them, and -- ends them",
		    optopt);
	else
		snprintf(cfg->error, sizeof(cfg->error),
		    "%.100s is not an option; --help lists them, and -- ends "
		    "them",
		    argv[optind - 1]);
}

static int
read_command_line(struct config *cfg, enum config_program program, int argc,
    char *const argv[])
{
	struct option longopts[NROWS + 1];
	char where[64];
	int c, index, n = 0, row_of[NROWS];
	size_t i;

	for (i = 0; i < NROWS; i++) {
		if (!(rows[i].programs & program))
			continue;
		longopts[n].name = rows[i].name;
		longopts[n].has_arg =
		    rows[i].type == TYPE_FLAG ? no_argument : required_argument;
		longopts[n].flag = NULL;
		longopts[n].val = FIRST_OPTION + n;
		row_of[n++] = (int)i;
	}
	memset(&longopts[n], 0, sizeof(longopts[n]));
	opterr = 0;
	optind = 0; /* and forget what was left of another command line */
	while ((c = getopt_long(argc, argv, ":", longopts, &index)) != -1) {
		if (c < FIRST_OPTION) {
			put_option_error(cfg, c, argv);
			return -1;
		}
		snprintf(where, sizeof(where), "--%s", longopts[index].name);
		if (set_value(cfg, &rows[row_of[index]],
			optarg != NULL ? optarg : "1", where) == -1)
			return -1;
	}
	cfg->operand_index = optind;
	return 0;
}

static int
prefix_check(struct config *cfg)
{
	const char *p;

	if (cfg->prefix == NULL) {
		if (cfg->redis.db == 0)
			snprintf(cfg->prefix_of_db, sizeof(cfg->prefix_of_db),
			    "sse:");
		else
			snprintf(cfg->prefix_of_db, sizeof(cfg->prefix_of_db),
			    "sse%u:", cfg->redis.db);
		cfg->prefix = cfg->prefix_of_db;
	}
	cfg->redis.prefix = cfg->prefix;
	if (cfg->prefix[0] == '\0' || strlen(cfg->prefix) > 64) {
		snprintf(cfg->error, sizeof(cfg->error),
		    "the prefix must have 1 to 64 bytes");
		return -1;
	}
	for (p = cfg->prefix; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f ||
		    strchr("*?[],\\", *p) != NULL) {
			snprintf(cfg->error, sizeof(cfg->error),
			    "the prefix '%.64s' may hold no blank and none of "
			    "* ? [ ] , \\",
			    cfg->prefix);
			return -1;
		}
	return 0;
}

static int
read_all(struct config *cfg, enum config_program program, int argc,
    char *const argv[])
{
	const char *password;
	size_t i;

	for (i = 0; i < NROWS; i++)
		if (rows[i].initial != NULL &&
		    set_value(cfg, &rows[i], rows[i].initial, rows[i].name) ==
			-1)
			return -1;
	if (read_environment(cfg, program) == -1)
		return -1;
	if (argc > 0 && read_command_line(cfg, program, argc, argv) == -1)
		return -1;
	if (cfg->help || cfg->version)
		return 0;
	if (redis_address_parse(&cfg->redis, cfg->redis_url, cfg->error,
		sizeof(cfg->error)) == -1)
		return -1;
	/* no flag of this name: a command line is for everybody to read */
	password = getenv("FCGI_SSE_REDIS_PASSWORD");
	/* redis://user:@host names only the user */
	if (password != NULL && password[0] != '\0' &&
	    (cfg->redis.password == NULL || cfg->redis.password[0] == '\0')) {
		free(cfg->redis.password);
		if ((cfg->redis.password = strdup(password)) == NULL) {
			snprintf(
			    cfg->error, sizeof(cfg->error), "out of memory");
			return -1;
		}
	}
	return prefix_check(cfg);
}

int
config_read(struct config *cfg, enum config_program program, int argc,
    char *const argv[])
{
	memset(cfg, 0, sizeof(*cfg));
	if (read_all(cfg, program, argc, argv) == 0)
		return 0;
	config_free(cfg);
	return -1;
}

int
config_read_password(struct config *cfg)
{
	const char *path = cfg->redis_password_file;
	char *password;

	if (path == NULL)
		return 0;
	if (password_is_lasting(path))
		cfg->redis.password_file = path;
	if (password_read(path, &password, cfg->error, sizeof(cfg->error)) ==
	    -1)
		return -1;
	password_free(cfg->redis.password);
	cfg->redis.password = password;
	return 0;
}

void
config_free(struct config *cfg)
{
	redis_address_free(&cfg->redis);
}

void
config_print_options(FILE *out, enum config_program program)
{
	char left[64];
	size_t i;

	for (i = 0; i < NROWS; i++) {
		if (!(rows[i].programs & program))
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", rows[i].name,
		    rows[i].argument != NULL ? "=" : "",
		    rows[i].argument != NULL ? rows[i].argument : "");
		fprintf(out, "  %-28s %s", left, rows[i].help);
		if (rows[i].initial != NULL)
			fprintf(out, " (default %s)", rows[i].initial);
		fputc('\n', out);
	}
}
