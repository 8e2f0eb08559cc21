/* SPDX-License-Identifier: ISC */
/* offer.h: what is put can be read, and nothing else. */
#include "carrier/offer.h"
#include "redis/channel.h"
#include "test/unit/unit.h"

struct named {
	const char *name;
	uint64_t position;
};

static const struct offer full = { .request_id = 0x1234,
	.heartbeat_s = 15,
	.end_due_ms = 1234567890123,
	.key = "sse:session:abc",
	.grant = "{\"channels\":\0[]}",
	.grant_len = 16,
	.user = "caf\xc3\xa9",
	.nchannels = 3 };
static const struct named full_channels[] = { { "all", 17 },
	{ "caf\xc3\xa9", 0 }, { "x", UINT64_MAX } };

static void
put(struct buf *b, const struct offer *o, const struct named *channels)
{
	size_t i;

	buf_init(b, OFFER_LEN_MAX);
	assert_int_equal(offer_begin(b, o), 0);
	for (i = 0; i < o->nchannels; i++)
		assert_int_equal(
		    offer_add_channel(b, channels[i].name,
			strlen(channels[i].name), channels[i].position),
		    0);
}

/* From memory of exactly that length. */
static int
parses(const char *p, size_t len)
{
	char *copy = exact_copy((struct str){ p, len });
	struct offer o;
	int failed = offer_parse(&o, copy, len);

	free(copy);
	return failed;
}

static void
check_channels(const struct offer *o, const struct named *channels, size_t n)
{
	uint64_t position;
	const char *name;
	size_t at = 0, i, len;

	for (i = 0; i < n; i++) {
		offer_next_channel(o, &at, &name, &len, &position);
		assert_true(is_equal(name, len,
		    (struct str){
			channels[i].name, strlen(channels[i].name) }));
		assert_int_equal(position, channels[i].position);
	}
	assert_int_equal(at, o->channels_len);
}

static void
check_round_trip(const struct offer *o, const struct named *channels)
{
	struct offer got;
	struct buf b;
	char *copy;

	put(&b, o, channels);
	copy = exact_copy((struct str){ b.bytes, b.len });
	assert_int_equal(offer_parse(&got, copy, b.len), 0);
	assert_int_equal(got.request_id, o->request_id);
	assert_int_equal(got.heartbeat_s, o->heartbeat_s);
	assert_int_equal(got.end_due_ms, o->end_due_ms);
	assert_string_equal(got.key, o->key);
	assert_string_equal(got.user, o->user);
	assert_true(is_equal(
	    got.grant, got.grant_len, (struct str){ o->grant, o->grant_len }));
	assert_int_equal(got.nchannels, o->nchannels);
	check_channels(&got, channels, o->nchannels);
	free(copy);
	buf_free(&b);
}

static void
what_is_put_can_be_read(void **state)
{
	const struct offer least = { .request_id = 1,
		.end_due_ms = INT64_MIN,
		.key = "",
		.grant = "",
		.user = "",
		.nchannels = 1 };
	char longest[CHANNEL_LEN_MAX + 1];
	const struct named one = { longest, 1 };

	(void)state;
	memset(longest, 'x', CHANNEL_LEN_MAX);
	longest[CHANNEL_LEN_MAX] = '\0';
	check_round_trip(&full, full_channels);
	check_round_trip(&least, full_channels);
	check_round_trip(&least, &one);
}

static void
other_lengths_are_refused(void **state)
{
	/* each cut, and a byte more */
	struct buf b;
	size_t len;

	(void)state;
	put(&b, &full, full_channels);
	for (len = 0; len < b.len; len++)
		if (parses(b.bytes, len) == 0)
			fail_msg("%zu of %zu bytes", len, b.len);
	assert_int_equal(parses(b.bytes, b.len), 0);
	assert_int_equal(buf_putc(&b, '\0'), 0);
	assert_int_equal(parses(b.bytes, b.len), -1);
	buf_free(&b);
}

/* Each number of the head, in its place. */
enum {
	AT_KEY_LEN = 16,
	AT_GRANT_LEN = 20,
	AT_USER_LEN = 24,
	AT_NCHANNELS = 28
};

static void
false_lengths_are_refused(void **state)
{
	/* numbers that do not add up, or overflow */
	static const uint32_t numbers[] = { 0, 1, 2, 3, 4, 5, 14, 15, 16, 17,
		255, 256, 257, 4095, 4096, 4097, 65535, 65536, INT32_MAX,
		(uint32_t)INT32_MAX + 1, UINT32_MAX - 1, UINT32_MAX };
	static const struct {
		size_t at;
		uint32_t right;
	} table[] = {
		{ AT_KEY_LEN, 15 },
		{ AT_GRANT_LEN, 16 },
		{ AT_USER_LEN, 5 },
		{ AT_NCHANNELS, 3 },
	};
	struct buf b;
	size_t i, k;

	(void)state;
	put(&b, &full, full_channels);
	for (i = 0; i < ROWS(table); i++) {
		for (k = 0; k < ROWS(numbers); k++) {
			memcpy(b.bytes + table[i].at, &numbers[k],
			    sizeof(numbers[k]));
			if ((parses(b.bytes, b.len) == 0) !=
			    (numbers[k] == table[i].right))
				fail_msg("%u at %zu", numbers[k], table[i].at);
		}
		memcpy(b.bytes + table[i].at, &table[i].right,
		    sizeof(table[i].right));
	}
	assert_int_equal(parses(b.bytes, b.len), 0);
	buf_free(&b);
}

static void
false_names_are_refused(void **state)
{
	/* no name is empty, too long, or holds a NUL */
	static const struct {
		struct str name;
		int want;
	} table[] = {
		{ S("a"), 0 },
		{ S(""), -1 },
		{ S("\0"), -1 },
		{ S("a\0b"), -1 },
		{ S("ab\0"), -1 },
	};
	const struct offer o = {
		.key = "", .grant = "", .user = "", .nchannels = 1
	};
	char longest[CHANNEL_LEN_MAX + 1];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		buf_init(&b, OFFER_LEN_MAX);
		assert_int_equal(offer_begin(&b, &o), 0);
		assert_int_equal(offer_add_channel(
				     &b, table[i].name.p, table[i].name.len, 1),
		    0);
		if (parses(b.bytes, b.len) != table[i].want)
			fail_msg("row %zu", i);
		buf_free(&b);
	}
	memset(longest, 'x', sizeof(longest));
	buf_init(&b, OFFER_LEN_MAX);
	assert_int_equal(offer_begin(&b, &o), 0);
	assert_int_equal(offer_add_channel(&b, longest, sizeof(longest), 1), 0);
	assert_int_equal(parses(b.bytes, b.len), -1);
	buf_free(&b);
}

static void
texts_hold_no_nul(void **state)
{
	/* key and user end where they say */
	struct buf b;
	char *p;

	(void)state;
	put(&b, &full, full_channels);
	p = memchr(b.bytes, 's', b.len); /* sse:session:abc */
	assert_non_null(p);
	p[1] = '\0';
	assert_int_equal(parses(b.bytes, b.len), -1);
	p[1] = 's';
	assert_int_equal(parses(b.bytes, b.len), 0);
	p[15] = 'x';
	assert_int_equal(parses(b.bytes, b.len), -1);
	buf_free(&b);
}

static void
large_offer_is_not_put(void **state)
{
	/* it stays within its limit, and says so */
	char grant[1000];
	const struct offer o = { .key = "k",
		.grant = grant,
		.grant_len = sizeof(grant),
		.user = "u",
		.nchannels = 1 };
	struct buf b;

	(void)state;
	memset(grant, 'x', sizeof(grant));
	buf_init(&b, 1000);
	assert_int_equal(offer_begin(&b, &o), -1);
	buf_free(&b);
	buf_init(&b, 1100);
	assert_int_equal(offer_begin(&b, &o), 0);
	while (offer_add_channel(&b, "abc", 3, 1) == 0)
		assert_true(b.len <= 1100);
	buf_free(&b);
}

static void
answers_have_one_length(void **state)
{
	const struct offer_ready ready = { 1, 2, 3, 4 };
	const struct offer_move move = { 5, 6, 7, 8 };
	struct offer_ready got_ready;
	struct offer_move got_move;
	char bytes[sizeof(ready) + 1] = "";
	size_t len;

	(void)state;
	memcpy(bytes, &ready, sizeof(ready));
	for (len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(offer_read_ready(&got_ready, bytes, len),
		    len == sizeof(ready) ? 0 : -1);
	assert_memory_equal(&got_ready, &ready, sizeof(ready));
	memcpy(bytes, &move, sizeof(move));
	for (len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(offer_read_move(&got_move, bytes, len),
		    len == sizeof(move) ? 0 : -1);
	assert_memory_equal(&got_move, &move, sizeof(move));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_can_be_read),
		cmocka_unit_test(other_lengths_are_refused),
		cmocka_unit_test(false_lengths_are_refused),
		cmocka_unit_test(false_names_are_refused),
		cmocka_unit_test(texts_hold_no_nul),
		cmocka_unit_test(large_offer_is_not_put),
		cmocka_unit_test(answers_have_one_length),
	};

	return cmocka_run_group_tests_name("offer", tests, NULL, NULL);
}
