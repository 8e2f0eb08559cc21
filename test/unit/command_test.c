/* SPDX-License-Identifier: ISC */
/* command.h: the words that Redis gets, and what is fixed of them. */
#include "redis/channel.h"
#include "redis/command.h"
#include "test/unit/unit.h"

/* The words are these, separated by blanks. */
static void
assert_words(const struct command *c, const char *want)
{
	char got[2000] = "";
	size_t len = 0;
	int i;

	for (i = 0; i < c->argc; i++)
		len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%.*s",
		    i > 0 ? " " : "", (int)c->lens[i], c->argv[i]);
	assert_string_equal(got, want);
}

static void
words_are_borrowed_or_built(void **state)
{
	/* words are borrowed, names and numbers are built */
	struct command c;

	(void)state;
	assert_int_equal(command_init(&c, "p:", 6, 4), 0);
	command_add_text(&c, "EVAL");
	command_add(&c, "text, of which less", 4);
	command_add_number(&c, 0);
	command_add_number(&c, UINT64_MAX);
	command_add_name(&c, "clock", "");
	command_add_name(&c, "history:", "all");
	assert_words(
	    &c, "EVAL text 0 18446744073709551615 p:clock p:history:all");
	command_free(&c);
}

static void
fixed_words_stay(void **state)
{
	/* what is fixed stays, and what came later makes room */
	struct command c;
	int i;

	(void)state;
	assert_int_equal(command_init(&c, "", 3, 3), 0);
	command_add_name(&c, "a", "");
	command_fix(&c);
	for (i = 0; i < 100; i++) {
		command_rewind(&c);
		command_add_number(&c, 7);
		command_add_name(&c, "b", "c");
		assert_words(&c, "a 7 bc");
	}
	command_rewind(&c);
	assert_words(&c, "a");
	command_free(&c);
}

static void
longest_names_have_room(void **state)
{
	/* as many of the longest names as were asked for have room */
	char prefix[65], channel[CHANNEL_LEN_MAX + 1];
	struct command c;
	int i;

	(void)state;
	memset(prefix, 'p', sizeof(prefix) - 1);
	memset(channel, 'c', sizeof(channel) - 1);
	prefix[sizeof(prefix) - 1] = channel[sizeof(channel) - 1] = '\0';
	assert_int_equal(command_init(&c, prefix, 5, 5), 0);
	for (i = 0; i < 5; i++)
		command_add_name(&c, "history:", channel);
	for (i = 0; i < 5; i++)
		assert_int_equal(c.lens[i], 64 + 8 + CHANNEL_LEN_MAX);
	command_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_borrowed_or_built),
		cmocka_unit_test(fixed_words_stay),
		cmocka_unit_test(longest_names_have_room),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
