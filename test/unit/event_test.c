/* SPDX-License-Identifier: ISC */
/*
 * event.h: which payload of a plain PUBLISH is [name, data], and that every
 * other one is the data of a "message" as it stands.  Payloads are copied into
 * memory of exactly their length, so that the sanitizers see a look beyond.
 */
#include "redis/event.h"
#include "test/unit/unit.h"

struct pair_row {
	struct str payload, name, data;
};

static void
check_pairs(const struct pair_row *rows, size_t count)
{
	struct event ev;
	size_t i;
	char *copy;

	for (i = 0; i < count; i++) {
		copy = exact_copy(rows[i].payload);
		event_from_payload(&ev, copy, rows[i].payload.len);
		if (!is_equal(ev.name, ev.name_len, rows[i].name) ||
		    !is_equal(ev.data, ev.data_len, rows[i].data))
			fail_msg("<%s>: name <%.*s>, data <%.*s>",
			    rows[i].payload.p, (int)ev.name_len, ev.name,
			    (int)ev.data_len, ev.data);
		event_free(&ev);
		free(copy);
	}
}

static void
check_as_it_stands(const struct str *payloads, size_t count)
{
	struct event ev;
	size_t i;
	char *copy;

	for (i = 0; i < count; i++) {
		copy = exact_copy(payloads[i]);
		event_from_payload(&ev, copy, payloads[i].len);
		if (ev.name_len != 0 || ev.data != copy ||
		    ev.data_len != payloads[i].len || ev.owned[0] != NULL ||
		    ev.owned[1] != NULL)
			fail_msg("<%s>: name <%.*s>, data <%.*s>",
			    payloads[i].p, (int)ev.name_len, ev.name,
			    (int)ev.data_len, ev.data);
		event_free(&ev);
		free(copy);
	}
}

static void
names_are_told_apart(void **state)
{
	/* which names a publisher may use, and what is said of the others */
	static const struct {
		struct str name;
		const char *want; /* part of the sentence; NULL: fine */
	} table[] = {
		{ S(""), NULL },
		{ S("message"), NULL },
		{ S("a"), NULL },
		{ S("chat.new message: 1"), NULL },
		{ S(" a "), NULL },
		{ S("caf\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80"), NULL },
		{ S("\t\x01\x7f"), NULL },
		{ S("stream"), NULL },
		{ S("stream_"), NULL },
		{ S("Stream-x"), NULL },
		{ S("xstream-"), NULL },
		{ S("stream-"), "stream-" },
		{ S("stream-reset"), "stream-" },
		{ S("stream-anything"), "stream-" },
		{ S("a\rb"), "line end" },
		{ S("a\n"), "line end" },
		{ S("\r\n"), "line end" },
		{ S("\0"), "NUL" },
		{ S("a\0b"), "NUL" },
		{ S("\xff"), "UTF-8" },
		{ S("caf\xe9"), "UTF-8" },
		{ S("\xed\xa0\x80"), "UTF-8" },
	};
	char longest[EVENT_NAME_LEN_MAX + 1];
	const char *got;
	char *copy;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		copy = exact_copy(table[i].name);
		got = event_name_error(copy, table[i].name.len);
		if ((got == NULL) != (table[i].want == NULL) ||
		    (got != NULL && strstr(got, table[i].want) == NULL))
			fail_msg("<%s>: %s", table[i].name.p,
			    got == NULL ? "fine" : got);
		free(copy);
	}
	memset(longest, 'x', sizeof(longest));
	assert_null(event_name_error(longest, EVENT_NAME_LEN_MAX));
	got = event_name_error(longest, EVENT_NAME_LEN_MAX + 1);
	assert_non_null(got);
	assert_non_null(strstr(got, "256"));
	assert_null(event_name_error(NULL, 0));
}

static void
string_is_decoded(void **state)
{
	/* [name, string] is that name with the decoded string */
	static const struct pair_row table[] = {
		{ S("[\"message\", \"{\\\"type\\\":\\\"foo\\\"}\"]"),
		    S("message"), S("{\"type\":\"foo\"}") },
		{ S("[\"a\",\"b\"]"), S("a"), S("b") },
		{ S("[\"\",\"\"]"), S(""), S("") },
		{ S("[\"a\",\"\"]"), S("a"), S("") },
		{ S(" \t\r\n[ \t\r\n\"a\" \t\r\n, \t\r\n\"b\" \t\r\n] "
		    "\t\r\n"),
		    S("a"), S("b") },
		{ S("[\"a\",\" b \"]"), S("a"), S(" b ") },
		{ S("[\"a\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"), S("a"),
		    S("\"\\/\b\f\n\r\t") },
		{ S("[\"a\",\"x\\r\\ny\\rz\\n\"]"), S("a"), S("x\r\ny\rz\n") },
		{ S("[\"a\",\"\\u00e9\\u20AC\\ud83d\\ude00\\u0001\"]"), S("a"),
		    S("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x01") },
		{ S("[\"a\",\"caf\xc3\xa9\"]"), S("a"), S("caf\xc3\xa9") },
		{ S("[\"caf\\u00e9\",\"b\"]"), S("caf\xc3\xa9"), S("b") },
		{ S("[\"\\u0061\\\"\",\"\\u0062\"]"), S("a\""), S("b") },
		/* repaired later, by sse_put_event */
		{ S("[\"a\",\"x\xff\xe2\x82\"]"), S("a"), S("x\xff\xe2\x82") },
		{ S("[\"a\",\"\\n\xff\"]"), S("a"), S("\n\xff") },
		{ S("[\"a\",\"\x7f\xe2\x80\xa8\"]"), S("a"),
		    S("\x7f\xe2\x80\xa8") },
		/* an escaped backslash, no NUL */
		{ S("[\"a\",\"\\\\u0000\"]"), S("a"), S("\\u0000") },
		{ S("[\"a\",\"\\\\\\\\u0000\"]"), S("a"), S("\\\\u0000") },
		{ S("[\"a\",\"u0000\"]"), S("a"), S("u0000") },
		{ S("[\"a\",\"]\"]"), S("a"), S("]") },
		{ S("[\"a,b\",\",\"]"), S("a,b"), S(",") },
		{ S("[\"stream\",\"b\"]"), S("stream"), S("b") },
	};

	(void)state;
	check_pairs(table, ROWS(table));
}

static void
other_data_passes_as_it_came(void **state)
{
	/* data that is no string is the very bytes that came, without the
	 * blanks at its ends */
	static const struct pair_row table[] = {
		{ S("[\"a\",1]"), S("a"), S("1") },
		{ S("[\"a\",12345678901234567890]"), S("a"),
		    S("12345678901234567890") },
		{ S("[\"a\",-12345678901234567890123]"), S("a"),
		    S("-12345678901234567890123") },
		/* longer than cJSON's 63 bytes */
		{ S("[\"a\","
		    "1234567890123456789012345678901234567890123456789012"
		    "345678901234567890123456789012345678901234567890]"),
		    S("a"),
		    S("1234567890123456789012345678901234567890123456789012"
		      "345678901234567890123456789012345678901234567890") },
		{ S("[\"a\",1.10]"), S("a"), S("1.10") },
		{ S("[\"a\",-0]"), S("a"), S("-0") },
		{ S("[\"a\",0.0e-00]"), S("a"), S("0.0e-00") },
		{ S("[\"a\",1E+400]"), S("a"), S("1E+400") },
		{ S("[\"a\",1e5]"), S("a"), S("1e5") },
		{ S("[\"a\",true]"), S("a"), S("true") },
		{ S("[\"a\",false]"), S("a"), S("false") },
		{ S("[\"a\", \tnull\r\n]"), S("a"), S("null") },
		{ S("[\"a\",[]]"), S("a"), S("[]") },
		{ S("[\"a\",{}]"), S("a"), S("{}") },
		{ S("[\"a\",[ ]]"), S("a"), S("[ ]") },
		{ S("[\"a\",[1, [2,[3]], \"]\"]]"), S("a"),
		    S("[1, [2,[3]], \"]\"]") },
		{ S("[\"a\", { \"x\" : 1.10 ,\n\"y\":[{}] } ]"), S("a"),
		    S("{ \"x\" : 1.10 ,\n\"y\":[{}] }") },
		{ S("[\"a\",{\"x\":1,\"x\":2,\"\":3}]"), S("a"),
		    S("{\"x\":1,\"x\":2,\"\":3}") },
		{ S("[\"a\",{\"}\":\"{\\\"\"}]"), S("a"),
		    S("{\"}\":\"{\\\"\"}") },
		{ S("[\"a\",[\"\\u00e9\\ud800\"]]"), S("a"),
		    S("[\"\\u00e9\\ud800\"]") },
		{ S("[\"a\",[\"\xff\"]]"), S("a"), S("[\"\xff\"]") },
	};

	(void)state;
	check_pairs(table, ROWS(table));
}

static void
other_json_passes_as_it_stands(void **state)
{
	/* JSON of another shape, and text, is passed on as it stands */
	static const struct str table[] = {
		S(""),
		S(" "),
		S("hello"),
		S("hello\r\nworld\0!"),
		S("\xff\xfe"),
		S("\"a\""),
		S("1"),
		S("null"),
		S("{\"a\":\"b\"}"),
		S("[]"),
		S("[ ]"),
		S("[\"a\"]"),
		S("[\"a\",]"),
		S("[,\"a\"]"),
		S("[,]"),
		S("[\"a\",\"b\",\"c\"]"),
		S("[\"a\",\"b\",]"),
		S("[\"a\" \"b\"]"),
		S("[\"a\":\"b\"]"),
		S("[[\"a\",\"b\"]]"),
		S("{\"a\",\"b\"}"),
		/* a name that is no string */
		S("[1,\"b\"]"),
		S("[null,\"b\"]"),
		S("[[\"a\"],\"b\"]"),
		S("[{},\"b\"]"),
		S("[a,\"b\"]"),
		S("['a','b']"),
		S("[a\",2]"),
		/* text around it */
		S("[\"a\",\"b\"]x"),
		S("[\"a\",\"b\"}"),
		S("[\"a\",\"b\"] ["),
		S("[\"a\",\"b\"]]"),
		S("[\"a\",\"b\"],"),
		S("[\"a\",\"b\"]\0"),
		S("[\"a\",\"b\"][\"a\",\"b\"]"),
		S("x[\"a\",\"b\"]"),
		S("\xef\xbb\xbf[\"a\",\"b\"]"),
		S("\v[\"a\",\"b\"]"),
		S("\0[\"a\",\"b\"]"),
		/* cut short */
		S("["),
		S("[\""),
		S("[\"a"),
		S("[\"a\\"),
		S("[\"a\""),
		S("[\"a\","),
		S("[\"a\",\""),
		S("[\"a\",\"b"),
		S("[\"a\",\"b\\"),
		S("[\"a\",\"b\\\"]"),
		S("[\"a\",\"b\\u"),
		S("[\"a\",\"b\\u00"),
		S("[\"a\",\"b\""),
		S("[\"a\",["),
		S("[\"a\",[1"),
		S("[\"a\",[1,"),
		S("[\"a\",{"),
		S("[\"a\",{\"x"),
		S("[\"a\",{\"x\""),
		S("[\"a\",{\"x\":"),
		S("[\"a\",{\"x\":1"),
		S("[\"a\",-"),
		S("[\"a\",1."),
		S("[\"a\",1e"),
		S("[\"a\",1e+"),
		S("[\"a\",tru"),
	};

	(void)state;
	check_as_it_stands(table, ROWS(table));
}

static void
pair_with_a_bad_name_passes_as_it_stands(void **state)
{
	/* an array whose name no publisher may use is passed on as it stands,
	 * escaped or not */
	static const struct str table[] = {
		S("[\"stream-reset\",\"b\"]"),
		S("[\"stream-\",1]"),
		S("[\"\\u0073tream-end\",\"b\"]"),
		S("[\"a\\nb\",\"b\"]"),
		S("[\"a\\rb\",\"b\"]"),
		S("[\"a\\u000ab\",\"\\n\"]"),
		S("[\"a\\u000Db\",\"b\"]"),
		S("[\"a\nb\",\"b\"]"),
		S("[\"caf\xe9\",\"b\"]"),
	};
	char payload[EVENT_NAME_LEN_MAX + 8];
	struct event ev;
	int len;

	(void)state;
	check_as_it_stands(table, ROWS(table));

	len = snprintf(
	    payload, sizeof(payload), "[\"%0*d\",1]", EVENT_NAME_LEN_MAX, 0);
	event_from_payload(&ev, payload, (size_t)len);
	assert_int_equal(ev.name_len, EVENT_NAME_LEN_MAX);
	event_free(&ev);
	len = snprintf(payload, sizeof(payload), "[\"%0*d\",1]",
	    EVENT_NAME_LEN_MAX + 1, 0);
	event_from_payload(&ev, payload, (size_t)len);
	assert_int_equal(ev.name_len, 0);
	assert_int_equal(ev.data_len, len);
	event_free(&ev);
}

static void
nul_cuts_nothing(void **state)
{
	/* \u0000 and NUL, wherever they stand, cut nothing: as it stands */
	static const struct str table[] = {
		S("[\"a\",\"\\u0000\"]"),
		S("[\"a\",\"x\\u0000y\"]"),
		S("[\"a\",\"\\\\\\u0000\"]"),
		S("[\"a\\u0000\",\"b\"]"),
		S("[\"\\u0000\",\"b\"]"),
		S("[\"a\",[\"\\u0000\"]]"),
		S("[\"a\",{\"\\u0000\":1}]"),
		S("[\"a\",\"x\0y\"]"),
		S("[\"a\0\",\"b\"]"),
		S("[\"a\",\0\"b\"]"),
		S("[\"a\",[\"\0\"]]"),
		S("[\"a\",[\"\\\0\"]]"),
		S("[\"a\",1\0]"),
		S("[\"a\",\"\\\0\"]"),
		S("[\"a\",\"\\u00\0"
		  "0\"]"),
	};

	(void)state;
	check_as_it_stands(table, ROWS(table));
}

static void
almost_json_passes_as_it_stands(void **state)
{
	/* what RFC 8259 does not call JSON is passed on as it stands, also
	 * where cJSON would take it */
	static const struct str table[] = {
		/* escapes */
		S("[\"a\",\"\\x\"]"),
		S("[\"a\",\"\\uZZZZ\"]"),
		S("[\"a\",\"\\u12G4\"]"),
		S("[\"a\",\"\\u1G34\"]"),
		S("[\"a\",\"\\u123G\"]"),
		S("[\"a\",\"\\u 123\"]"),
		S("[\"a\",\"\\u+123\"]"),
		S("[\"a\",\"\\U00e9\"]"),
		S("[\"a\",\"\\\n\"]"),
		S("[\"a\",\"\\'\"]"),
		S("[\"a\",[\"\\uZZZZ\"]]"),
		/* half a surrogate pair */
		S("[\"a\",\"\\ud800\"]"),
		S("[\"a\",\"\\ud83dx\"]"),
		S("[\"a\",\"\\ud83d\\n\"]"),
		S("[\"a\",\"\\ud83d\\ud83d\"]"),
		S("[\"a\",\"\\ude00\"]"),
		S("[\"a\",\"\\ude00\\ud83d\"]"),
		S("[\"a\",\"\\udfff\"]"),
		S("[\"a\\ud800\",\"b\"]"),
		/* control characters in strings */
		S("[\"a\",\"x\ny\"]"),
		S("[\"a\",\"x\ty\"]"),
		S("[\"a\",\"\x1f\"]"),
		S("[\"a\",[\"\n\"]]"),
		S("[\"a\tb\",\"b\"]"),
		/* blanks that are none */
		S("[\"a\",\v\"b\"]"),
		S("[\"a\",[\x01]]"),
		S("[\"a\",\xc2\xa0\"b\"]"),
		S("[\"a\",\xef\xbb\xbf\"b\"]"),
		S("[\"a\",//\n\"b\"]"),
		/* numbers */
		S("[\"a\",01]"),
		S("[\"a\",-01]"),
		S("[\"a\",+1]"),
		S("[\"a\",1.]"),
		S("[\"a\",.1]"),
		S("[\"a\",-]"),
		S("[\"a\",1e]"),
		S("[\"a\",1e+]"),
		S("[\"a\",1.e1]"),
		S("[\"a\",1 2]"),
		S("[\"a\",0x10]"),
		S("[\"a\",1_0]"),
		S("[\"a\",NaN]"),
		S("[\"a\",Infinity]"),
		S("[\"a\",-Infinity]"),
		/* words */
		S("[\"a\",True]"),
		S("[\"a\",trux]"),
		S("[\"a\",nul]"),
		S("[\"a\",nulll]"),
		S("[\"a\",undefined]"),
		/* arrays and objects */
		S("[\"a\",[1,]]"),
		S("[\"a\",[,1]]"),
		S("[\"a\",[1 2]]"),
		S("[\"a\",[1;2]]"),
		S("[\"a\",{\"x\":1;\"y\":2}]"),
		S("[\"a\",[1}]"),
		S("[\"a\",[1}]]"),
		S("[\"a\",{]]"),
		S("[\"a\",{\"x\"}]"),
		S("[\"a\",{\"x\":}]"),
		S("[\"a\",{\"x\":1,}]"),
		S("[\"a\",{,}]"),
		S("[\"a\",{x:1}]"),
		S("[\"a\",{x\":1}]"),
		S("[\"a\",{1:1}]"),
		S("[\"a\",{\"x\":1 \"y\":2}]"),
		S("[\"a\",{\"x\",1}]"),
		S("[\"a\",{\"x\":1:2}]"),
	};

	(void)state;
	check_as_it_stands(table, ROWS(table));
}

/* ["a",BBB1EEE] with depth brackets in one another; owned by the caller */
static char *
nested(const char *open, const char *close, size_t depth, size_t *len)
{
	size_t open_len = strlen(open), i;
	char *p = malloc(depth * (open_len + 1) + 8), *to = p;

	assert_non_null(p);
	memcpy(to, "[\"a\",", 5);
	to += 5;
	for (i = 1; i < depth; i++, to += open_len)
		memcpy(to, open, open_len);
	*to++ = '1';
	for (i = 1; i < depth; i++)
		*to++ = *close;
	*to++ = ']';
	*len = (size_t)(to - p);
	return p;
}

static void
nesting_is_bounded(void **state)
{
	/* up to 1000 brackets in one another are read; more are passed on as
	 * they stand, and overflow no stack */
	static const struct {
		const char *open, *close;
		size_t depth;
		bool want_pair;
	} table[] = {
		{ "[", "]", 1, true },
		{ "[", "]", 2, true },
		{ "[", "]", 999, true },
		{ "[", "]", 1000, true },
		{ "[", "]", 1001, false },
		{ "[", "]", 500000, false },
		{ "{\"x\":", "}", 1000, true },
		{ "{\"x\":", "}", 1001, false },
		{ "{\"x\":", "}", 200000, false },
		{ "[", "}", 10, false },
	};
	struct event ev;
	size_t i, len;
	char *p;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		p = nested(table[i].open, table[i].close, table[i].depth, &len);
		event_from_payload(&ev, p, len);
		if (table[i].want_pair) {
			assert_int_equal(ev.name_len, 1);
			assert_ptr_equal(ev.data, p + 5);
			assert_int_equal(ev.data_len, len - 6);
		} else {
			assert_int_equal(ev.name_len, 0);
			assert_ptr_equal(ev.data, p);
			assert_int_equal(ev.data_len, len);
		}
		event_free(&ev);
		free(p);
	}
}

static void
large_string_is_decoded_whole(void **state)
{
	/* a mebibyte with an escape in each other byte is decoded whole */
	enum { ESCAPES = 1 << 19 };
	size_t len = 6 + 2 * (size_t)ESCAPES + 2, i;
	char *p = malloc(len);
	struct event ev;

	(void)state;
	assert_non_null(p);
	memcpy(p, "[\"a\",\"", 6);
	for (i = 0; i < ESCAPES; i++)
		memcpy(p + 6 + 2 * i, "\\n", 2);
	memcpy(p + len - 2, "\"]", 2);
	event_from_payload(&ev, p, len);
	assert_int_equal(ev.data_len, ESCAPES);
	for (i = 0; i < ESCAPES; i++)
		assert_int_equal(ev.data[i], '\n');
	event_free(&ev);
	free(p);
}

static void
nothing_is_an_empty_message(void **state)
{
	/* no bytes at all, without even an address, are an empty message */
	struct event ev;

	(void)state;
	event_from_payload(&ev, NULL, 0);
	assert_int_equal(ev.name_len, 0);
	assert_int_equal(ev.data_len, 0);
	event_free(&ev);
}

static void
second_free_releases_nothing(void **state)
{
	/* event_free leaves nothing that a second one would release */
	static const char payload[] = "[\"\\u0061\",\"\\n\"]";
	struct event ev;

	(void)state;
	event_from_payload(&ev, payload, sizeof(payload) - 1);
	assert_non_null(ev.owned[0]);
	assert_non_null(ev.owned[1]);
	event_free(&ev);
	assert_null(ev.owned[0]);
	assert_null(ev.owned[1]);
	event_free(&ev);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_told_apart),
		cmocka_unit_test(string_is_decoded),
		cmocka_unit_test(other_data_passes_as_it_came),
		cmocka_unit_test(other_json_passes_as_it_stands),
		cmocka_unit_test(pair_with_a_bad_name_passes_as_it_stands),
		cmocka_unit_test(nul_cuts_nothing),
		cmocka_unit_test(almost_json_passes_as_it_stands),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(large_string_is_decoded_whole),
		cmocka_unit_test(nothing_is_an_empty_message),
		cmocka_unit_test(second_free_releases_nothing),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
