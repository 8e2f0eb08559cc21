/* SPDX-License-Identifier: ISC */
/*
 * config.h: each option by its default, its variable and its flag; the Redis
 * address, the password and the prefix; --help.  The tables here say again what
 * the table of config.c says: they are the interface.
 */
#include <unistd.h>

#include "base/config.h"
#include "test/unit/unit.h"

#define F PROGRAM_FCGI_SSE
#define P PROGRAM_SSE_PUBLISH
#define ARGS_MAX 8
#define GIB4 (UINT64_C(1) << 32)

static const struct number {
	const char *name, *variable;
	size_t offset;
	uint64_t initial, min, max;
	const char *initial_text; /* in --help; NULL: none */
	unsigned programs;
} numbers[] = {
	{ "port", "PORT", offsetof(struct config, port), 0, 1, 65535, NULL, F },
	{ "history-count", "HISTORY_COUNT",
	    offsetof(struct config, history_count), 0, 1, 1000000, NULL, F },
	{ "history-age", "HISTORY_AGE", offsetof(struct config, history_age_s),
	    0, 1, 2592000, NULL, F },
	{ "history-bytes", "HISTORY_BYTES",
	    offsetof(struct config, history_bytes), 0, 1, GIB4, NULL, F },
	{ "heartbeat", "HEARTBEAT", offsetof(struct config, heartbeat_s), 15, 1,
	    3600, "15", F },
	{ "retry", "RETRY", offsetof(struct config, retry_ms), 3000, 0, 3600000,
	    "3000", F },
	{ "max-lifetime", "MAX_LIFETIME",
	    offsetof(struct config, max_lifetime_s), 3600, 1, 31536000, "3600",
	    F },
	{ "request-timeout", "REQUEST_TIMEOUT",
	    offsetof(struct config, request_timeout_s), 10, 1, 3600, "10", F },
	{ "write-timeout", "WRITE_TIMEOUT",
	    offsetof(struct config, write_timeout_s), 30, 1, 3600, "30", F },
	{ "drain", "DRAIN", offsetof(struct config, drain_s), 10, 0, 3600, "10",
	    F },
	{ "max-streams", "MAX_STREAMS", offsetof(struct config, max_streams),
	    1000, 1, 1000000, "1000", F },
	{ "streams-per-process", "STREAMS_PER_PROCESS",
	    offsetof(struct config, streams_per_process), 1, 1, 10000, "1", F },
	{ "max-channels", "MAX_CHANNELS", offsetof(struct config, max_channels),
	    64, 1, 1024, "64", F },
	{ "event-bytes", "EVENT_BYTES", offsetof(struct config, event_bytes),
	    1048576, 1, 16777216, "1048576", F | P },
	{ "wait", "WAIT", offsetof(struct config, wait_s), 0, 1, 31536000, NULL,
	    P },
};

static const struct string {
	const char *name, *variable; /* NULL: it has none */
	size_t offset;
	const char *initial, *initial_text;
	const char *first, *second; /* values that it may have */
	unsigned programs;
} strings[] = {
	{ "socket", "SOCKET", offsetof(struct config, socket_path), NULL, NULL,
	    "/a", "/b", F },
	{ "socket-owner", "SOCKET_OWNER", offsetof(struct config, socket_owner),
	    NULL, NULL, "a", "a:b", F },
	{ "address", "ADDRESS", offsetof(struct config, address), "127.0.0.1",
	    "127.0.0.1", "::1", "0.0.0.0", F },
	{ "user", "USER", offsetof(struct config, user), NULL, NULL, "a", "b",
	    F },
	{ "redis", "REDIS", offsetof(struct config, redis_url),
	    "redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0", "unix:///a",
	    "redis://h", F | P },
	{ "redis-password-file", "REDIS_PASSWORD_FILE",
	    offsetof(struct config, redis_password_file), NULL, NULL, "/a",
	    "/b", F | P },
	{ "prefix", "PREFIX", offsetof(struct config, prefix), "sse:", NULL,
	    "a:", "b:", F | P },
	{ "record", "RECORD", offsetof(struct config, record), "*", "*", "none",
	    "a*,b", F },
	{ "log", "LOG", offsetof(struct config, log), "stderr", "stderr",
	    "syslog", "/a", F },
	{ "event", NULL, offsetof(struct config, event), NULL, NULL, "a", "b",
	    P },
	{ "key", NULL, offsetof(struct config, key), NULL, NULL, "a", "b", P },
};

static const struct flag {
	const char *name, *variable;
	size_t offset;
	unsigned programs;
	bool has_variable;
} flags[] = {
	{ "debug", "DEBUG", offsetof(struct config, debug), F, true },
	{ "lines", "LINES", offsetof(struct config, lines), P, false },
	{ "version", "VERSION", offsetof(struct config, version), F | P,
	    false },
	{ "help", "HELP", offsetof(struct config, help), F | P, false },
};

/* --- a program's start -------------------------------------------------- */

/* The strings of a configuration live as long as it. */
struct started {
	struct config cfg;
	int argc;
	char *argv[ARGS_MAX + 2];
	int result;
};

static void
clear_environment(void)
{
	char name[100];
	size_t i = 0, len;

	while (environ[i] != NULL) {
		len = strcspn(environ[i], "=");
		if (strncmp(environ[i], "FCGI_SSE_", 9) != 0) {
			i++;
			continue;
		}
		assert_true(len < sizeof(name));
		memcpy(name, environ[i], len);
		name[len] = '\0';
		assert_int_equal(unsetenv(name), 0);
	}
}

static int
clear_environment_before(void **state)
{
	(void)state;
	clear_environment();
	return 0;
}

/* FCGI_SSE_NAME=value; NULL unsets it */
static void
set_variable(const char *name, const char *value)
{
	char variable[100];

	snprintf(variable, sizeof(variable), "FCGI_SSE_%s", name);
	if (value == NULL)
		assert_int_equal(unsetenv(variable), 0);
	else
		assert_int_equal(setenv(variable, value, 1), 0);
}

static void
start_with(struct started *st, enum config_program program,
    const char *const args[ARGS_MAX])
{
	memset(st, 0, sizeof(*st));
	assert_non_null(st->argv[st->argc++] = strdup("program"));
	for (; st->argc <= ARGS_MAX && args[st->argc - 1] != NULL; st->argc++)
		assert_non_null(
		    st->argv[st->argc] = strdup(args[st->argc - 1]));
	st->result = config_read(&st->cfg, program, st->argc, st->argv);
}

static void
start(struct started *st, enum config_program program, const char *arg)
{
	const char *args[ARGS_MAX] = { arg };

	start_with(st, program, args);
}

static void
stop(struct started *st)
{
	config_free(&st->cfg);
	while (st->argc > 0)
		free(st->argv[--st->argc]);
}

static uint64_t
number_of(const struct started *st, size_t offset)
{
	uint64_t n;

	memcpy(&n, (const char *)&st->cfg + offset, sizeof(n));
	return n;
}

static const char *
string_of(const struct started *st, size_t offset)
{
	const char *s;

	memcpy(&s, (const char *)&st->cfg + offset, sizeof(s));
	return s;
}

static bool
flag_of(const struct started *st, size_t offset)
{
	bool on;

	memcpy(&on, (const char *)&st->cfg + offset, sizeof(on));
	return on;
}

static bool
is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* the programs of a row, one after the other */
static enum config_program
next_program(unsigned *programs)
{
	enum config_program program = *programs & F ? F : P;

	*programs &= ~(unsigned)program;
	return program;
}

/* --- default < environment < flag --------------------------------------- */

static void
check_number(
    enum config_program program, const struct number *row, const char *variable)
{
	char value[30], flag[60];
	struct started st;

	start(&st, program, NULL);
	if (st.result != 0 || number_of(&st, row->offset) != row->initial)
		fail_msg("--%s by default", row->name);
	stop(&st);
	set_variable(variable, "");
	start(&st, program, NULL);
	if (st.result != 0 || number_of(&st, row->offset) != row->initial)
		fail_msg("--%s by an empty variable", row->name);
	stop(&st);
	snprintf(value, sizeof(value), "%ju", (uintmax_t)row->min);
	set_variable(variable, value);
	start(&st, program, NULL);
	if (st.result != 0 || number_of(&st, row->offset) != row->min)
		fail_msg(
		    "--%s from the environment: %s", row->name, st.cfg.error);
	stop(&st);
	snprintf(
	    flag, sizeof(flag), "--%s=%ju", row->name, (uintmax_t)row->max);
	start(&st, program, flag);
	if (st.result != 0 || number_of(&st, row->offset) != row->max)
		fail_msg("--%s by its flag: %s", row->name, st.cfg.error);
	stop(&st);
	set_variable(variable, NULL);
}

static void
numbers_follow_the_order(void **state)
{
	/* each number: its default, from its minimum by its variable to its
	 * maximum by its flag, which wins; an empty variable is none */
	unsigned programs;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(numbers); i++)
		for (programs = numbers[i].programs; programs != 0;)
			check_number(next_program(&programs), &numbers[i],
			    numbers[i].variable);
}

/* leaves it set */
static void
check_string_variable(enum config_program program, const struct string *row)
{
	struct started st;

	set_variable(row->variable, "");
	start(&st, program, NULL);
	if (st.result != 0 ||
	    !is_same(string_of(&st, row->offset), row->initial))
		fail_msg("--%s by an empty variable", row->name);
	stop(&st);
	set_variable(row->variable, row->first);
	start(&st, program, NULL);
	if (st.result != 0 || !is_same(string_of(&st, row->offset), row->first))
		fail_msg("--%s from the environment", row->name);
	stop(&st);
}

static void
check_string(enum config_program program, const struct string *row)
{
	struct started st;
	char flag[100];

	start(&st, program, NULL);
	if (st.result != 0 ||
	    !is_same(string_of(&st, row->offset), row->initial))
		fail_msg("--%s by default", row->name);
	stop(&st);
	if (row->variable != NULL)
		check_string_variable(program, row);
	snprintf(flag, sizeof(flag), "--%s=%s", row->name, row->second);
	start(&st, program, flag);
	if (st.result != 0 ||
	    !is_same(string_of(&st, row->offset), row->second))
		fail_msg("--%s by its flag", row->name);
	stop(&st);
	if (row->variable != NULL)
		set_variable(row->variable, NULL);
}

static void
strings_follow_the_order(void **state)
{
	/* each string: its default, then its variable, then its flag */
	unsigned programs;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(strings); i++)
		for (programs = strings[i].programs; programs != 0;)
			check_string(next_program(&programs), &strings[i]);
}

static void
flags_follow_the_order(void **state)
{
	/* each flag is off, unless its variable is 1; empty is not set; the
	 * flag itself wins; what is of one call only has no variable */
	static const struct {
		const char *value;
		bool want;
	} table[] = { { NULL, false }, { "", false }, { "0", false },
		{ "1", true } };
	unsigned programs;
	struct started st;
	enum config_program program;
	char flag[30];
	size_t i, k;

	(void)state;
	for (i = 0; i < ROWS(flags); i++) {
		for (programs = flags[i].programs; programs != 0;) {
			program = next_program(&programs);
			for (k = 0; k < ROWS(table); k++) {
				set_variable(flags[i].variable, table[k].value);
				start(&st, program, NULL);
				assert_int_equal(st.result, 0);
				if (flag_of(&st, flags[i].offset) !=
				    (table[k].want && flags[i].has_variable))
					fail_msg("--%s by <%s>", flags[i].name,
					    table[k].value);
				stop(&st);
			}
			set_variable(flags[i].variable, "0");
			snprintf(flag, sizeof(flag), "--%s", flags[i].name);
			start(&st, program, flag);
			assert_int_equal(st.result, 0);
			assert_true(flag_of(&st, flags[i].offset));
			stop(&st);
			set_variable(flags[i].variable, NULL);
		}
	}
}

static void
mode_is_read_as_octal(void **state)
{
	/* the socket's mode is octal: 0660, or the variable, or the flag */
	static const struct {
		const char *variable, *flag;
		uint64_t want;
	} table[] = {
		{ NULL, NULL, 0660 },
		{ "600", NULL, 0600 },
		{ "0600", NULL, 0600 },
		{ "0600", "--socket-mode=777", 0777 },
		{ NULL, "--socket-mode=0", 0 },
		{ NULL, "--socket-mode=00000000000000000000000777", 0777 },
	};
	struct started st;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		set_variable("SOCKET_MODE", table[i].variable);
		start(&st, F, table[i].flag);
		if (st.result != 0 || st.cfg.socket_mode != table[i].want)
			fail_msg("row %zu: %s", i, st.cfg.error);
		stop(&st);
	}
}

static void
others_variables_are_not_read(void **state)
{
	/* a variable of an option that a program does not have is not read,
	 * nor one of a single call's option, nor any of another name */
	static const char *const names[] = { "PORT", "DEBUG", "SOCKET-MODE",
		"NONSENSE", "EVENT", "LINES", "VERSION", "HELP" };
	struct started st;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(names); i++)
		set_variable(names[i], "nonsense");
	assert_int_equal(setenv("PREFIX", "nonsense ", 1), 0);
	start(&st, P, NULL);
	assert_int_equal(st.result, 0);
	assert_string_equal(st.cfg.prefix, "sse:");
	assert_null(st.cfg.event);
	assert_false(st.cfg.lines || st.cfg.version || st.cfg.help);
	stop(&st);
	assert_int_equal(unsetenv("PREFIX"), 0);
}

/* --- refusals ----------------------------------------------------------- */

static void
check_refused_number(const struct number *row, const char *value)
{
	enum config_program program = row->programs & F ? F : P;
	char flag[100], want[200];
	struct started st;

	snprintf(flag, sizeof(flag), "--%s=%s", row->name, value);
	start(&st, program, flag);
	snprintf(want, sizeof(want),
	    "--%s: '%s' is not a number from %ju to %ju", row->name, value,
	    (uintmax_t)row->min, (uintmax_t)row->max);
	assert_int_equal(st.result, -1);
	assert_string_equal(st.cfg.error, want);
	stop(&st);

	if (value[0] == '\0')
		return;
	set_variable(row->variable, value);
	start(&st, program, NULL);
	snprintf(want, sizeof(want),
	    "FCGI_SSE_%s: '%s' is not a number from %ju to %ju", row->variable,
	    value, (uintmax_t)row->min, (uintmax_t)row->max);
	assert_int_equal(st.result, -1);
	assert_string_equal(st.cfg.error, want);
	stop(&st);
	set_variable(row->variable, NULL);
}

static void
bad_number_is_refused(void **state)
{
	/* a number out of its range, or none, is refused; the sentence names
	 * the flag or the variable, the value, and the range */
	static const char *const values[] = { "", "x", "-1", "+1", " 1", "1 ",
		"1s", "0x1", "1.0", "99999999999999999999999" };
	char value[30];
	size_t i, k;

	(void)state;
	for (i = 0; i < ROWS(numbers); i++) {
		for (k = 0; k < ROWS(values); k++)
			check_refused_number(&numbers[i], values[k]);
		snprintf(
		    value, sizeof(value), "%ju", (uintmax_t)numbers[i].max + 1);
		check_refused_number(&numbers[i], value);
		if (numbers[i].min > 0)
			check_refused_number(&numbers[i], "0");
	}
}

static void
check_refused_flag(const struct flag *row, const char *value)
{
	struct started st;
	char want[200];

	set_variable(row->variable, value);
	start(&st, row->programs & F ? F : P, NULL);
	if (row->has_variable) {
		snprintf(want, sizeof(want),
		    "FCGI_SSE_%s: '%s' is neither 0 nor 1", row->variable,
		    value);
		assert_int_equal(st.result, -1);
		assert_string_equal(st.cfg.error, want);
	} else {
		assert_int_equal(st.result, 0);
		assert_false(flag_of(&st, row->offset));
	}
	stop(&st);
	set_variable(row->variable, NULL);
}

static void
bad_flag_is_refused(void **state)
{
	/* a word for a flag is not guessed at: "no" must not switch it on */
	static const char *const values[] = { "no", "yes", "true", "false",
		"on", "off", "2", "-1", "01", "00", "1 ", " 0", "10" };
	size_t i, k;

	(void)state;
	for (i = 0; i < ROWS(flags); i++)
		for (k = 0; k < ROWS(values); k++)
			check_refused_flag(&flags[i], values[k]);
}

static void
bad_mode_is_refused(void **state)
{
	/* what is not an octal mode is refused by name */
	static const char *const values[] = { "", "8", "0668", "1000", "0x1",
		"-1", "u=rw", "0660 ", "777777777777777777777777777" };
	char flag[60], want[200];
	struct started st;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(values); i++) {
		snprintf(flag, sizeof(flag), "--socket-mode=%s", values[i]);
		start(&st, F, flag);
		snprintf(want, sizeof(want),
		    "--socket-mode: '%s' is not an octal mode such as 0660",
		    values[i]);
		assert_int_equal(st.result, -1);
		assert_string_equal(st.cfg.error, want);
		stop(&st);
	}
	set_variable("SOCKET_MODE", "0888");
	start(&st, F, NULL);
	assert_int_equal(st.result, -1);
	assert_string_equal(st.cfg.error,
	    "FCGI_SSE_SOCKET_MODE: '0888' is not an octal mode such as 0660");
	stop(&st);
}

static void
long_value_is_cut(void **state)
{
	/* a value that is too long to repeat is cut */
	char flag[10000];
	struct started st;

	(void)state;
	memset(flag, 'x', sizeof(flag));
	memcpy(flag, "--port=", 7);
	flag[sizeof(flag) - 1] = '\0';
	start(&st, F, flag);
	assert_int_equal(st.result, -1);
	assert_string_equal(st.cfg.error,
	    "--port: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not a "
	    "number from 1 to 65535");
	stop(&st);
	memcpy(flag, "--yyyyy", 7);
	start(&st, F, flag);
	assert_int_equal(st.result, -1);
	assert_non_null(strstr(st.cfg.error, " is not an option"));
	stop(&st);
}

static void
bad_command_line_is_refused(void **state)
{
	/* what is not an option of this program is named and refused,
	 * wherever it stands; so is an option without its value, and a flag
	 * with one */
	static const struct {
		enum config_program program;
		const char *args[ARGS_MAX];
		const char *error; /* its beginning */
	} table[] = {
		{ F, { "--nonsense" }, "--nonsense is not an option" },
		{ F, { "--nonsense=1" }, "--nonsense=1 is not an option" },
		{ F, { "--debug", "--nonsense", "--port=1" },
		    "--nonsense is not an option" },
		{ F, { "-x" }, "-x is not an option" },
		{ F, { "-xyz" }, "-x is not an option" },
		{ F, { "--debug", "-h", "--port=1" }, "-h is not an option" },
		{ F, { "-p1" }, "-p is not an option" },
		{ P, { "all", "-5" }, "-5 is not an option" },
		{ F, { "--port" }, "--port needs a value" },
		{ F, { "--debug", "--port" }, "--port needs a value" },
		{ F, { "--debug=1" }, "--debug=1 has a value, and needs none" },
		{ F, { "--help=all" },
		    "--help=all has a value, and needs none" },
		/* the beginning of two */
		{ F, { "--history=1" }, "--history=1 is not an option" },
		{ F, { "--max", "1" }, "--max is not an option" },
		{ F, { "--socket", "/a", "--PORT=1" }, "--PORT=1 is not" },
		{ F, { "--lines" }, "--lines is not an option" },
		{ P, { "--ev=a" }, "--ev=a is not an option" },
		/* the beginning of one */
		{ F, { "--event=a" }, "--event-bytes: 'a' is not a number" },
		{ P, { "--port=1" }, "--port=1 is not an option" },
		{ P, { "--debug" }, "--debug is not an option" },
		/* two mistakes: the first is named */
		{ F, { "--port=x", "--nonsense" }, "--port: 'x' is not" },
		{ F, { "--nonsense", "--port=x" }, "--nonsense is not" },
	};
	struct started st;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		start_with(&st, table[i].program, table[i].args);
		if (st.result != -1 || strncmp(st.cfg.error, table[i].error,
					   strlen(table[i].error)) != 0)
			fail_msg("row %zu: %s", i, st.cfg.error);
		stop(&st);
	}
}

static void
command_line_is_read(void **state)
{
	/* options may stand after operands; "--" ends them; the last of two
	 * wins; operand_index is the first operand */
	static const struct {
		const char *args[ARGS_MAX];
		const char *event;
		bool lines;
		const char *operands[ARGS_MAX];
	} table[] = {
		{ { NULL }, NULL, false, { NULL } },
		{ { "all" }, NULL, false, { "all" } },
		{ { "all", "hello" }, NULL, false, { "all", "hello" } },
		{ { "--lines", "all" }, NULL, true, { "all" } },
		{ { "all", "--lines" }, NULL, true, { "all" } },
		{ { "all", "--event", "a", "x" }, "a", false, { "all", "x" } },
		{ { "--event=a", "--event=b" }, "b", false, { NULL } },
		{ { "--event=" }, "", false, { NULL } },
		{ { "--event", "--lines" }, "--lines", false, { NULL } },
		{ { "all", "--", "--lines" }, NULL, false,
		    { "all", "--lines" } },
		{ { "--", "-5" }, NULL, false, { "-5" } },
		{ { "all", "-" }, NULL, false, { "all", "-" } },
		{ { "all", "" }, NULL, false, { "all", "" } },
	};
	struct started st;
	size_t i, k;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		start_with(&st, P, table[i].args);
		if (st.result != 0 || !is_same(st.cfg.event, table[i].event) ||
		    st.cfg.lines != table[i].lines)
			fail_msg("row %zu: %s", i, st.cfg.error);
		for (k = 0; table[i].operands[k] != NULL; k++)
			if (!is_same(st.argv[st.cfg.operand_index + (int)k],
				table[i].operands[k]))
				fail_msg("row %zu, operand %zu", i, k);
		assert_int_equal(st.cfg.operand_index + (int)k, st.argc);
		stop(&st);
	}
}

static void
environment_is_enough(void **state)
{
	/* argc 0: the environment alone, as in CGI */
	struct config cfg;

	(void)state;
	set_variable("HEARTBEAT", "7");
	assert_int_equal(config_read(&cfg, F, 0, NULL), 0);
	assert_true(cfg.heartbeat_s == 7);
	assert_true(cfg.retry_ms == 3000);
	config_free(&cfg);
	set_variable("HEARTBEAT", "x");
	assert_int_equal(config_read(&cfg, F, 0, NULL), -1);
	config_free(&cfg);
}

static void
help_comes_before_mistakes(void **state)
{
	/* --help and --version do not ask whether the rest makes sense */
	static const char *const table[] = { "--help", "--version" };
	struct started st;
	size_t i;

	(void)state;
	set_variable("REDIS", "nonsense");
	for (i = 0; i < ROWS(table); i++) {
		start(&st, F, table[i]);
		assert_int_equal(st.result, 0);
		stop(&st);
	}
	start(&st, F, NULL);
	assert_int_equal(st.result, -1);
	stop(&st);
}

/* --- Redis -------------------------------------------------------------- */

/* a file of this content; unlink and free the path */
static char *
file_of(const char *content)
{
	char *path = strdup("/tmp/config_test.XXXXXX");
	int fd;

	assert_non_null(path);
	assert_true((fd = mkstemp(path)) != -1);
	assert_true(
	    write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	close(fd);
	return path;
}

static void
password_is_chosen(void **state)
{
	/* the URL's password, else FCGI_SSE_REDIS_PASSWORD; the first line of
	 * --redis-password-file before both */
	static const struct {
		const char *url, *variable, *file, *want, *user;
	} table[] = {
		{ "redis://h", NULL, NULL, NULL, NULL },
		{ "redis://h", "env", NULL, "env", NULL },
		{ "redis://h", "", NULL, NULL, NULL },
		{ "redis://:url@h", NULL, NULL, "url", NULL },
		{ "redis://:url@h", "env", NULL, "url", NULL },
		{ "unix:///a", "env", NULL, "env", NULL },
		{ "redis://ann:@h", "env", NULL, "env", "ann" },
		{ "redis://ann:@h", NULL, NULL, "", "ann" },
		{ "redis://h", NULL, "file\n", "file", NULL },
		{ "redis://h", NULL, "file", "file", NULL },
		{ "redis://h", NULL, "file\r\n", "file", NULL },
		{ "redis://h", NULL, " a b \nsecond\n", " a b ", NULL },
		{ "redis://ann:url@h", "env", "file\n", "file", "ann" },
		{ "redis://h", "%41", NULL, "%41", NULL },
		{ "redis://h", NULL, "%41\n", "%41", NULL },
	};
	char flag[100], file_flag[100];
	const char *args[ARGS_MAX];
	struct started st;
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		path = file_of(table[i].file != NULL ? table[i].file : "");
		snprintf(flag, sizeof(flag), "--redis=%s", table[i].url);
		snprintf(file_flag, sizeof(file_flag),
		    "--redis-password-file=%s", path);
		memset(args, 0, sizeof(args));
		args[0] = flag;
		args[1] = table[i].file != NULL ? file_flag : NULL;
		set_variable("REDIS_PASSWORD", table[i].variable);
		start_with(&st, F, args);
		assert_int_equal(st.result, 0);
		if (config_read_password(&st.cfg) != 0 ||
		    !is_same(st.cfg.redis.password, table[i].want) ||
		    !is_same(st.cfg.redis.user, table[i].user))
			fail_msg("row %zu: <%s> %s", i, st.cfg.redis.password,
			    st.cfg.error);
		stop(&st);
		assert_int_equal(unlink(path), 0);
		free(path);
	}
}

static void
password_file_is_read(void **state)
{
	/* config_read leaves the file alone; config_read_password says which
	 * file it could not read, and why; read twice it is the same */
	struct started st;
	char flag[100];
	char *path;

	(void)state;
	start(&st, F, "--redis-password-file=/nonexistent/password");
	assert_int_equal(st.result, 0);
	assert_null(st.cfg.redis.password);
	assert_int_equal(config_read_password(&st.cfg), -1);
	assert_string_equal(st.cfg.error,
	    "cannot read a password from /nonexistent/password: No such file "
	    "or directory");
	stop(&st);

	path = file_of("");
	snprintf(flag, sizeof(flag), "--redis-password-file=%s", path);
	start(&st, F, flag);
	assert_int_equal(config_read_password(&st.cfg), -1);
	assert_non_null(strstr(st.cfg.error, path));
	assert_non_null(strstr(st.cfg.error, "the file is empty"));
	stop(&st);
	assert_int_equal(unlink(path), 0);
	free(path);

	path = file_of("x\n");
	snprintf(flag, sizeof(flag), "--redis-password-file=%s", path);
	start(&st, F, flag);
	assert_int_equal(config_read_password(&st.cfg), 0);
	assert_int_equal(config_read_password(&st.cfg), 0);
	assert_string_equal(st.cfg.redis.password, "x");
	stop(&st);
	assert_int_equal(unlink(path), 0);
	free(path);
}

static void
prefix_is_checked(void **state)
{
	/* one prefix a database, unless it is given: one that pub/sub patterns
	 * and lists of channels can hold */
	static const struct {
		const char *url, *prefix, *want; /* want NULL: refused */
	} table[] = {
		{ "redis://h", NULL, "sse:" },
		{ "redis://h/0", NULL, "sse:" },
		{ "redis://h/1", NULL, "sse1:" },
		{ "redis://h/1000000", NULL, "sse1000000:" },
		{ "unix:///a", NULL, "sse:" },
		{ "unix:///a?db=15", NULL, "sse15:" },
		{ "redis://h", "x", "x" },
		{ "redis://h/3", "sse:", "sse:" },
		{ "redis://h", "{sse}:", "{sse}:" },
		{ "redis://h", "caf\xc3\xa9:", "caf\xc3\xa9:" },
		{ "redis://h",
		    "1234567890123456789012345678901234567890123456789012345678"
		    "901234",
		    "1234567890123456789012345678901234567890123456789012345678"
		    "901234" },
		{ "redis://h",
		    "1234567890123456789012345678901234567890123456789012345678"
		    "9012345",
		    NULL },
		{ "redis://h", "", NULL },
		{ "redis://h", "a b", NULL },
		{ "redis://h", "a\n", NULL },
		{ "redis://h", "a\x7f", NULL },
		{ "redis://h", "a*", NULL },
		{ "redis://h", "a?", NULL },
		{ "redis://h", "[a]", NULL },
		{ "redis://h", "a]", NULL },
		{ "redis://h", "a,b", NULL },
		{ "redis://h", "a\\", NULL },
	};
	char url_flag[100], prefix_flag[100];
	const char *args[ARGS_MAX] = { url_flag };
	struct started st;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		snprintf(
		    url_flag, sizeof(url_flag), "--redis=%s", table[i].url);
		snprintf(prefix_flag, sizeof(prefix_flag), "--prefix=%s",
		    table[i].prefix != NULL ? table[i].prefix : "");
		args[1] = table[i].prefix != NULL ? prefix_flag : NULL;
		start_with(&st, F, args);
		if (st.result != (table[i].want != NULL ? 0 : -1))
			fail_msg("row %zu: %s", i, st.cfg.error);
		if (table[i].want != NULL)
			assert_string_equal(st.cfg.prefix, table[i].want);
		else
			assert_non_null(strstr(st.cfg.error, "the prefix "));
		stop(&st);
	}
}

/* --- help --------------------------------------------------------------- */

/* Does text have a line that begins "  --name" and has this character after
 * it, with this default or none? */
static bool
has_line(const char *text, const char *name, char after, const char *initial)
{
	char begin[100], end[100];
	const char *line = text, *line_end, *found;
	size_t begin_len, end_len;

	begin_len =
	    (size_t)snprintf(begin, sizeof(begin), "  --%s%c", name, after);
	end_len = (size_t)snprintf(
	    end, sizeof(end), " (default %s)", initial != NULL ? initial : "");
	for (; *line != '\0'; line = line_end + 1) {
		line_end = strchr(line, '\n');
		if (strncmp(line, begin, begin_len) != 0)
			continue;
		/* what stands for the value is written in capitals */
		if (after == '=' && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ",
					line[begin_len]) == NULL)
			return false;
		if (initial != NULL)
			return (size_t)(line_end - line) > end_len &&
			       strncmp(line_end - end_len, end, end_len) == 0;
		/* the sentence may name one that depends */
		found = strstr(line, "(default ");
		return found == NULL || found > line_end ||
		       strcmp(name, "prefix") == 0 ||
		       strcmp(name, "event") == 0;
	}
	return false;
}

static void
check_help(enum config_program program)
{
	char *text = NULL, *p;
	size_t i, size, rows = 0, lines = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	config_print_options(f, program);
	fclose(f);
	for (i = 0; i < ROWS(numbers); i++, rows++)
		if (!(numbers[i].programs & program))
			rows--;
		else if (!has_line(text, numbers[i].name, '=',
			     numbers[i].initial_text))
			fail_msg("--%s in:\n%s", numbers[i].name, text);
	for (i = 0; i < ROWS(strings); i++, rows++)
		if (!(strings[i].programs & program))
			rows--;
		else if (!has_line(text, strings[i].name, '=',
			     strings[i].initial_text))
			fail_msg("--%s in:\n%s", strings[i].name, text);
	for (i = 0; i < ROWS(flags); i++, rows++)
		if (!(flags[i].programs & program))
			rows--;
		else if (!has_line(text, flags[i].name, ' ', NULL))
			fail_msg("--%s in:\n%s", flags[i].name, text);
	if (program == F) {
		assert_true(has_line(text, "socket-mode", '=', "0660"));
		rows++;
	}
	for (p = text; *p != '\0'; p++)
		lines += *p == '\n';
	/* an option that no table here knows has no test */
	assert_int_equal(lines, rows);
	free(text);
}

static void
help_lists_each_option(void **state)
{
	/* --help has a line for each option of the program, with its default,
	 * and for no other */
	(void)state;
	check_help(F);
	check_help(P);
}

#define TEST(function)                                                         \
	cmocka_unit_test_setup_teardown(                                       \
	    function, clear_environment_before, clear_environment_before)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers_follow_the_order),
		TEST(strings_follow_the_order),
		TEST(flags_follow_the_order),
		TEST(mode_is_read_as_octal),
		TEST(others_variables_are_not_read),
		TEST(bad_number_is_refused),
		TEST(bad_flag_is_refused),
		TEST(bad_mode_is_refused),
		TEST(long_value_is_cut),
		TEST(bad_command_line_is_refused),
		TEST(command_line_is_read),
		TEST(environment_is_enough),
		TEST(help_comes_before_mistakes),
		TEST(password_is_chosen),
		TEST(password_file_is_read),
		TEST(prefix_is_checked),
		TEST(help_lists_each_option),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
