/* SPDX-License-Identifier: ISC */
/*
 * channel.h: which names are a channel's, what a set holds, and what a list of
 * names adds to it.
 */
#include "redis/channel.h"
#include "test/unit/unit.h"

static void
names_are_told_apart(void **state)
{
	/* which names are a channel's, and what is said of the others */
	static const char empty[] = "is empty", too_long[] = "128",
			  not_utf8[] = "UTF-8", blank[] = "white space",
			  special[] = "holds one of", ours[] = "__",
			  prefixed[] = "prefix";
	static const struct {
		struct str name;
		const char *prefix;
		const char *want; /* part of the sentence; NULL: a name */
	} table[] = {
		{ S("a"), "sse:", NULL },
		{ S("all"), "sse:", NULL },
		{ S("user:1/x.y-z_#%&=+'\"()<>|~^$!@;"), "sse:", NULL },
		{ S("caf\xc3\xa9"), "sse:", NULL },
		{ S("\xf0\x9f\x98\x80"), "sse:", NULL },
		{ S("_x"), "sse:", NULL },
		{ S("_"), "sse:", NULL },
		{ S("a__"), "sse:", NULL },
		{ S(""), "sse:", empty },
		{ S("a,b"), "sse:", special },
		{ S("*"), "sse:", special },
		{ S("a?"), "sse:", special },
		{ S("[a"), "sse:", special },
		{ S("a]"), "sse:", special },
		{ S("{user}"), "sse:", special },
		{ S("a}"), "sse:", special },
		{ S("a\\b"), "sse:", special },
		{ S("__"), "sse:", ours },
		{ S("__keyspace@0__:x"), "sse:", ours },
		{ S("sse:"), "sse:", prefixed },
		{ S("sse:event:x"), "sse:", prefixed },
		{ S("sse"), "sse:", NULL },
		{ S("Sse:x"), "sse:", NULL },
		{ S("xsse:"), "sse:", NULL },
		{ S("sse:x"), "sse5:", NULL },
		{ S("sse5:x"), "sse5:", prefixed },
		{ S("sse:x"), "", NULL },
		{ S("__x"), "", ours },
		/* controls and white space */
		{ S("a b"), "sse:", blank },
		{ S(" a"), "sse:", blank },
		{ S("a\tb"), "sse:", blank },
		{ S("a\nb"), "sse:", blank },
		{ S("a\r"), "sse:", blank },
		{ S("\0"), "sse:", blank },
		{ S("a\0b"), "sse:", blank },
		{ S("\x1f"), "sse:", blank },
		{ S("!"), "sse:", NULL },
		{ S("~"), "sse:", NULL },
		{ S("\x7f"), "sse:", blank },
		{ S("\xc2\x80"), "sse:", blank },
		{ S("\xc2\x85"), "sse:", blank },
		{ S("\xc2\x9f"), "sse:", blank },
		{ S("\xc2\xa0"), "sse:", blank },
		{ S("\xc2\xa1"), "sse:", NULL },
		{ S("a\xe1\x9a\x80"), "sse:", blank }, /* U+1680 */
		{ S("\xe1\x9f\xbf"), "sse:", NULL },   /* U+17FF */
		{ S("\xe1\xbf\xbf"), "sse:", NULL },   /* U+1FFF */
		{ S("\xe2\x80\x80"), "sse:", blank },  /* U+2000 */
		{ S("\xe2\x80\x8a"), "sse:", blank },  /* U+200A */
		{ S("\xe2\x80\x8b"), "sse:", NULL },   /* U+200B */
		{ S("a\xe2\x80\xa8"), "sse:", blank }, /* U+2028 */
		{ S("\xe2\x80\xa9"), "sse:", blank },  /* U+2029 */
		{ S("\xe2\x80\xaa"), "sse:", NULL },   /* U+202A */
		{ S("\xe2\x80\xaf"), "sse:", blank },  /* U+202F */
		{ S("\xe2\x81\x9f"), "sse:", blank },  /* U+205F */
		{ S("\xe3\x80\x80"), "sse:", blank },  /* U+3000 */
		{ S("\xe3\x80\x81"), "sse:", NULL },   /* U+3001 */
		/* not UTF-8 */
		{ S("\xff"), "sse:", not_utf8 },
		{ S("caf\xe9"), "sse:", not_utf8 },
		{ S("\xc0\x80"), "sse:", not_utf8 },
		{ S("\xed\xa0\x80"), "sse:", not_utf8 },
		{ S("a\xe2\x82"), "sse:", not_utf8 },
	};
	char longest[CHANNEL_LEN_MAX + 1];
	const char *got;
	char *copy;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].name);
		got = channel_name_error(
		    copy, table[i].name.len, table[i].prefix);
		if ((got == NULL) != (table[i].want == NULL) ||
		    (got != NULL && strstr(got, table[i].want) == NULL))
			fail_msg("<%s> prefix <%s>: %s", table[i].name.p,
			    table[i].prefix, got == NULL ? "fine" : got);
		free(copy);
	}
	memset(longest, 'x', sizeof(longest));
	assert_null(channel_name_error(longest, CHANNEL_LEN_MAX, "sse:"));
	got = channel_name_error(longest, CHANNEL_LEN_MAX + 1, "sse:");
	assert_non_null(got);
	assert_non_null(strstr(got, too_long));
}

/* the names, each followed by '|' */
static void
join(const struct channel_set *set, char *out, size_t size)
{
	size_t i, at = 0;

	out[0] = '\0';
	for (i = 0; i < set->n; i++) {
		assert_int_equal(set->items[i].len, strlen(set->items[i].name));
		at += (size_t)snprintf(
		    out + at, size - at, "%s|", set->items[i].name);
		assert_true(at < size);
	}
}

static void
list_adds_its_names(void **state)
{
	/* a list adds its names in order, each once, blanks round them and
	 * empty ones left out */
	static const struct {
		const char *list, *want;
	} table[] = {
		{ "", "" },
		{ "a", "a|" },
		{ "a,b", "a|b|" },
		{ "b,a", "b|a|" },
		{ "a,a", "a|" },
		{ "a,b,a,b", "a|b|" },
		{ "a,A", "a|A|" },
		{ "a,ab,aba", "a|ab|aba|" },
		{ ",", "" },
		{ ",,a,,", "a|" },
		{ " a , b ", "a|b|" },
		{ "\ta\t,\t", "a|" },
		{ " ", "" },
		{ "caf\xc3\xa9,\xf0\x9f\x98\x80",
		    "caf\xc3\xa9|\xf0\x9f\x98\x80|" },
		{ "a:b/c.d-e_f", "a:b/c.d-e_f|" },
		{ "_a,s,ss,sse", "_a|s|ss|sse|" },
		{ "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
		    "a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q|" },
	};
	struct channel_set set;
	char got[200], error[100];
	size_t i, len;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		len = strlen(table[i].list);
		copy = exact_copy((struct str){ table[i].list, len });
		channel_set_init(&set);
		if (channel_set_add_list(
			&set, copy, len, "sse:", error, sizeof(error)) != 0)
			fail_msg("<%s>: %s", table[i].list, error);
		free(copy); /* the set has its own */
		join(&set, got, sizeof(got));
		assert_string_equal(got, table[i].want);
		channel_set_free(&set);
	}
}

static void
bad_list_is_refused(void **state)
{
	/* one name that is none refuses the list, with a sentence that repeats
	 * it (at most 60 bytes) and says why */
	static const struct {
		const char *list;
		size_t len;
		const char *prefix, *error;
	} table[] = {
		{ "a b", 3, "",
		    "the channel name 'a b' holds white space or "
		    "a control character" },
		{ "ok,__x", 6, "",
		    "the channel name '__x' begins with \"__\"" },
		{ "sse:x", 5, "sse:",
		    "the channel name 'sse:x' begins with the "
		    "server's own prefix" },
		{ "a,b*", 4, "sse:",
		    "the channel name 'b*' holds one of , * ? [ ] { } \\" },
		{ "{placeholder}", 13, "",
		    "the channel name '{placeholder}' "
		    "holds one of , * ? [ ] { } \\" },
		{ "\xff", 1, "", "the channel name '\xff' is not UTF-8" },
		{ "a\0b", 3, "",
		    "the channel name 'a' holds white space or a "
		    "control character" },
		{ "a\nb", 3, "",
		    "the channel name 'a\nb' holds white space or "
		    "a control character" },
		{ "123456789012345678901234567890123456789012345678901234567890"
		  "123456789012345678901234567890123456789012345678901234567890"
		  "123456789",
		    129, "",
		    "the channel name '1234567890123456789012345678901234567890"
		    "12345678901234567890' is longer than 128 bytes" },
	};
	struct channel_set set;
	char error[200];
	size_t i;
	char *copy;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy((struct str){ table[i].list, table[i].len });
		channel_set_init(&set);
		assert_int_equal(channel_set_add_list(&set, copy, table[i].len,
				     table[i].prefix, error, sizeof(error)),
		    -1);
		assert_string_equal(error, table[i].error);
		channel_set_free(&set);
		free(copy);
	}
}

static void
other_sites_names_are_names(void **state)
{
	/* a name of another site's prefix is a name */
	struct channel_set set;
	char error[100];

	(void)state;
	channel_set_init(&set);
	assert_int_equal(channel_set_add_list(&set, "sse:x,sse2:y", 12,
			     "sse3:", error, sizeof(error)),
	    0);
	assert_int_equal(set.n, 2);
	channel_set_free(&set);
}

static void
members_are_found(void **state)
{
	/* has, find: the same bytes and the same length, nothing less */
	static const struct {
		const char *name;
		bool want;
		size_t number;
	} table[] = {
		{ "all", true, 0 },
		{ "foo", true, 1 },
		{ "al", false, 0 },
		{ "alll", false, 0 },
		{ "All", false, 0 },
		{ "", false, 0 },
		{ "all,foo", false, 0 },
	};
	struct channel_set set;
	size_t i, len, found;
	char *copy;

	(void)state;
	channel_set_init(&set);
	assert_false(channel_set_has(&set, "all", 3));
	assert_int_equal(channel_set_add(&set, "all", 3), 0);
	/* only len bytes of what may go on */
	assert_int_equal(channel_set_add(&set, "fooo", 3), 0);
	for (i = 0; i < ROWS(table); i++) {
		len = strlen(table[i].name);
		copy = exact_copy((struct str){ table[i].name, len });
		if (channel_set_has(&set, copy, len) != table[i].want)
			fail_msg("<%s>", table[i].name);
		if (channel_set_find(&set, copy, len, &found) !=
			table[i].want ||
		    (table[i].want && found != table[i].number))
			fail_msg("<%s> is number %zu", table[i].name, found);
		free(copy);
	}
	channel_set_free(&set);
}

static void
set_grows(void **state)
{
	/* a thousand names, each added twice, are a thousand names; freed, the
	 * set is empty and may be used again */
	struct channel_set set;
	char name[20];
	size_t i, len;

	(void)state;
	channel_set_init(&set);
	for (i = 0; i < 2000; i++) {
		len = (size_t)snprintf(name, sizeof(name), "ch%zu", i % 1000);
		assert_int_equal(channel_set_add(&set, name, len), 0);
	}
	assert_int_equal(set.n, 1000);
	assert_string_equal(set.items[999].name, "ch999");
	channel_set_free(&set);
	assert_int_equal(set.n, 0);
	assert_int_equal(channel_set_add(&set, "a", 1), 0);
	assert_int_equal(set.n, 1);
	channel_set_free(&set);
	channel_set_free(&set);
}

/* Name number i of many: some are prefixes of others. */
static size_t
many_name(char *name, size_t size, size_t i)
{
	return (size_t)snprintf(name, size, i % 3 == 0 ? "%zu" : "user:%zu", i);
}

/* Where it stands, looked for from the beginning; n: it does not. */
static size_t
look_through(const struct channel_set *set, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		if (set->items[i].len == len &&
		    memcmp(set->items[i].name, name, len) == 0)
			break;
	return i;
}

static void
check_found(const struct channel_set *set, size_t nnames)
{
	size_t i, len, want, found;
	char name[30];

	for (i = 0; i < nnames; i++) {
		len = many_name(name, sizeof(name), i);
		want = look_through(set, name, len);
		if (channel_set_find(set, name, len, &found) !=
			(want < set->n) ||
		    found != want ||
		    channel_set_has(set, name, len) != (want < set->n))
			fail_msg("%s of %zu", name, set->n);
	}
}

static void
members_of_many_are_found(void **state)
{
	/* as by looking through all, at each size that a set goes through */
	struct channel_set set;
	size_t i, len, found;
	char name[30];

	(void)state;
	channel_set_init(&set);
	for (i = 0; i < 3000; i++) {
		len = many_name(name, sizeof(name), i);
		assert_false(channel_set_find(&set, name, len, &found));
		assert_int_equal(channel_set_add(&set, name, len), 0);
		assert_int_equal(set.n, i + 1);
		assert_int_equal(channel_set_add(&set, name, len), 0);
		assert_int_equal(set.n, i + 1);
		assert_true(channel_set_find(&set, name, len, &found));
		assert_int_equal(found, i);
		if (i < 150)
			check_found(&set, 160);
	}
	check_found(&set, 3500);
	channel_set_free(&set);
	assert_false(channel_set_has(&set, "0", 1));
}

static void
kept_members_move_up(void **state)
{
	/* of sets of each size; what is forgotten may come again */
	static const struct {
		size_t n, every; /* n names, of which every such one stays */
	} table[] = {
		{ 0, 1 },
		{ 1, 1 },
		{ 1, 2 },
		{ 10, 3 },
		{ 16, 2 },
		{ 17, 2 },
		{ 33, 40 },
		{ 100, 1 },
		{ 1000, 7 },
		{ 1000, 2000 },
	};
	struct channel_set set;
	size_t i, k, len, kept;
	char name[30];
	bool *is_kept;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		channel_set_init(&set);
		is_kept = malloc(table[i].n + 1);
		assert_non_null(is_kept);
		for (k = kept = 0; k < table[i].n; k++) {
			len = many_name(name, sizeof(name), k);
			assert_int_equal(channel_set_add(&set, name, len), 0);
			is_kept[k] = k % table[i].every == table[i].every - 1;
			kept += is_kept[k];
		}
		channel_set_keep(&set, is_kept);
		assert_int_equal(set.n, kept);
		check_found(&set, table[i].n + 10);
		for (k = 0; k < kept; k++) {
			many_name(
			    name, sizeof(name), table[i].every * (k + 1) - 1);
			assert_string_equal(set.items[k].name, name);
		}
		for (k = 0; k < table[i].n; k++) {
			len = many_name(name, sizeof(name), k);
			assert_int_equal(channel_set_add(&set, name, len), 0);
		}
		assert_int_equal(set.n, table[i].n);
		check_found(&set, table[i].n + 10);
		free(is_kept);
		channel_set_free(&set);
	}
}

static void
members_come_and_go(void **state)
{
	/* at random, many times over: as by looking through all */
	uint64_t chance = 1;
	struct channel_set set;
	bool is_kept[400];
	char name[30];
	size_t i, len;
	int turn;

	(void)state;
	channel_set_init(&set);
	for (turn = 0; turn < 300; turn++) {
		for (i = 0; i < 60; i++) {
			chance = chance * UINT64_C(6364136223846793005) +
				 UINT64_C(1442695040888963407);
			len = many_name(name, sizeof(name),
			    (size_t)(chance >> 40) % ROWS(is_kept));
			assert_int_equal(channel_set_add(&set, name, len), 0);
		}
		for (i = 0; i < set.n; i++) {
			chance = chance * UINT64_C(6364136223846793005) +
				 UINT64_C(1442695040888963407);
			is_kept[i] = chance >> 63 != 0;
		}
		channel_set_keep(&set, is_kept);
		check_found(&set, ROWS(is_kept));
	}
	channel_set_free(&set);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_told_apart),
		cmocka_unit_test(list_adds_its_names),
		cmocka_unit_test(bad_list_is_refused),
		cmocka_unit_test(other_sites_names_are_names),
		cmocka_unit_test(members_are_found),
		cmocka_unit_test(set_grows),
		cmocka_unit_test(members_of_many_are_found),
		cmocka_unit_test(kept_members_move_up),
		cmocka_unit_test(members_come_and_go),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
