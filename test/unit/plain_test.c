/* SPDX-License-Identifier: ISC */
/* plain.h: where plain messages are heard, what they are as frames, which are
 * held, and which records are known by them. */
#include "plain.h"
#include "redis/record.h"
#include "test/unit/unit.h"

#define UP "0 0 r\nup "

static void
coverage_tells_what_changed(void **state)
{
	/* plain messages are heard where no recorder's pattern matches */
	static const struct {
		const char *patterns;
		bool all, foo; /* heard on these channels */
	} table[] = {
		{ NULL, true, true },
		{ "", true, true },
		{ "all", false, true },
		{ "foo", true, false },
		{ "all,foo", false, false },
		{ "bar, foo", true, false },
		{ " all ,bar", false, true },
		{ ",,foo,", true, false },
		{ "*", false, false },
		{ "f*,a?", true, false },
		{ "all foo", true, true },
	};
	static char all_name[] = "all", foo_name[] = "foo";
	static struct channel items[] = { { all_name, 3 }, { foo_name, 3 } };
	static const struct channel_set channels = { items, 2, 2, NULL, 0 };
	struct position positions[2];
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		memset(positions, 0, sizeof(positions));
		if (plain_update_coverage(positions, &channels,
			table[i].patterns) != (table[i].all || table[i].foo) ||
		    positions[0].hears_plain != table[i].all ||
		    positions[1].hears_plain != table[i].foo)
			fail_msg("row %zu", i);
		/* the second time nothing is new */
		assert_false(plain_update_coverage(
		    positions, &channels, table[i].patterns));
	}
	/* a recorder that came is a change, too */
	positions[0].hears_plain = positions[1].hears_plain = true;
	assert_true(plain_update_coverage(positions, &channels, "all"));
	assert_false(positions[0].hears_plain);
}

static void
message_becomes_a_frame(void **state)
{
	/* a message is framed as its record would be, after what is there;
	 * another site's records and announcements, and what finds no room, are
	 * none */
	static const struct {
		const char *payload;
		size_t max;
		const char *want; /* NULL: none */
	} table[] = {
		{ "x", 100, "data: x\n\n" },
		{ "[\"news\",{\"a\":1}]", 100,
		    "event: news\ndata: {\"a\":1}\n\n" },
		{ "", 100, "data: \n\n" },
		{ "7 5 p\nid: 7\ndata: x\n\n", 100, NULL },
		{ UP "1 token", 100, NULL },
		{ "0 3 r\ndata: x\n\n", 100, NULL },
		{ "7 3 r\ndata: x\n\n", 100, NULL },
		{ "xxxxxxxxxx", 10, NULL },
	};
	struct buf frame;
	size_t i, before;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		buf_init(&frame, table[i].max);
		assert_int_equal(buf_put(&frame, "-", 1), 0);
		before = frame.len;
		if (plain_put_frame(
			&frame, table[i].payload, strlen(table[i].payload)) !=
		    (table[i].want == NULL ? -1 : 0))
			fail_msg("<%s>", table[i].payload);
		if (table[i].want == NULL)
			assert_int_equal(frame.len, before);
		else
			assert_true(is_equal(frame.bytes + 1, frame.len - 1,
			    (struct str){
				table[i].want, strlen(table[i].want) }));
		buf_free(&frame);
	}
}

/* --- announcements ------------------------------------------------------ */

/* into memory of exactly its length */
static void
hear_notice(struct plain *p, struct str notice)
{
	char *copy = exact_copy(notice);

	plain_hear_notice(p, copy, notice.len);
	free(copy);
}

static void
up(struct plain *p, const char *token)
{
	char notice[100];
	int len = snprintf(notice, sizeof(notice), UP "1 %s", token);

	hear_notice(p, (struct str){ notice, (size_t)len });
}

static bool
keep(struct plain *p, const char *payload)
{
	return plain_keep(p, 1, payload, strlen(payload));
}

/* What is held, each after a '.' */
static void
check_held(const struct plain *p, const char *want)
{
	char got[100] = "";
	const char *payload;
	size_t at = 0, channel, len, n = 0;

	while (plain_next_held(p, &at, &channel, &payload, &len)) {
		assert_int_equal(channel, 1);
		n += (size_t)snprintf(
		    got + n, sizeof(got) - n, ".%.*s", (int)len, payload);
	}
	assert_string_equal(got, want);
}

static void
messages_are_held_after_up(void **state)
{
	/* from an announcement to the take that follows messages are held, in
	 * order; else they pass */
	static const struct {
		struct str notice;
		bool is_holding;
	} table[] = {
		{ S(UP "1 abc"), true },
		{ S(UP "1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		    true }, /* 63 */
		{ S(UP "1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		    false }, /* 64 */
		{ S("0 0 r\ndown abc"), false },
		{ S("0 0 r\nforget abc"), false },
		{ S(UP), false },
		{ S("0 0 r\nup"), false },
		{ S(UP "1 a b"), false },
		{ S(UP "x abc"), false },
		{ S("hello"), false },
		{ S(""), false },
	};
	struct plain p;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		plain_init(&p, 1, false);
		assert_false(keep(&p, "x"));
		hear_notice(&p, table[i].notice);
		if (keep(&p, "a") != table[i].is_holding)
			fail_msg("<%s>", table[i].notice.p);
		keep(&p, "");
		keep(&p, "bc");
		check_held(&p, table[i].is_holding ? ".a..bc" : "");
		plain_drop_held(&p);
		assert_false(keep(&p, "x"));
		check_held(&p, "");
		plain_free(&p);
	}
}

static void
take_says_whether_they_are_recorded(void **state)
{
	/* what is held is recorded if the take found one of those that were
	 * announced: a stranger may have spoken before or after */
	static const struct {
		const char *announced[6];
		const char *token;
		bool are_recorded;
	} table[] = {
		{ { "abc" }, "abc", true },
		{ { "abc" }, NULL, false },
		{ { "abc" }, "other", false },
		{ { "abc" }, "ab", false },
		{ { "abc" }, "abcd", false },
		{ { "abc" }, "", false },
		{ { "forged", "abc" }, "abc", true },
		{ { "abc", "forged" }, "abc", true },
		{ { "abc", "forged" }, "other", false },
		{ { "abc", "1", "2", "3" }, "abc", true },
		{ { "abc", "1", "2", "3", "4" }, "abc", false },
		{ { "1", "2", "3", "4", "abc" }, "abc", true },
	};
	struct plain p;
	size_t i, j;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		plain_init(&p, 1, false);
		for (j = 0; table[i].announced[j] != NULL; j++)
			up(&p, table[i].announced[j]);
		if (plain_are_recorded(&p, table[i].token) !=
		    table[i].are_recorded)
			fail_msg("row %zu", i);
		/* the next take is after none of them */
		plain_drop_held(&p);
		up(&p, "new");
		assert_false(plain_are_recorded(&p, "abc"));
		assert_true(plain_are_recorded(&p, "new"));
		plain_free(&p);
	}
	plain_init(&p, 1, false);
	assert_false(plain_are_recorded(&p, ""));
	plain_free(&p);
}

static void
megabyte_is_held_at_most(void **state)
{
	/* what is over it is dropped, not passed on out of turn */
	const size_t len = (1 << 20) - 4 * sizeof(size_t) - 1;
	char *large = calloc(1, len + 1);
	const char *payload;
	size_t at = 0, channel, got;
	struct plain p;

	(void)state;
	plain_init(&p, 1, false);
	up(&p, "abc");
	assert_true(plain_keep(&p, 0, large, len));
	assert_true(keep(&p, "xy"));
	assert_true(keep(&p, "z"));
	assert_true(keep(&p, ""));
	assert_true(plain_next_held(&p, &at, &channel, &payload, &got));
	assert_int_equal(got, len);
	assert_true(plain_next_held(&p, &at, &channel, &payload, &got));
	assert_true(is_equal(payload, got, (struct str)S("z")));
	assert_false(plain_next_held(&p, &at, &channel, &payload, &got));
	plain_free(&p);
	free(large);
}

/* --- relays ------------------------------------------------------------- */

#define NCHANNELS 2

/* A relay of this place after this id. */
static bool
relay_comes(struct plain *p, size_t channel, uint64_t base, uint64_t place)
{
	const struct relay r = { .base = base, .place = place };

	return plain_hear_relay(p, channel, &r);
}

static bool
record_comes(
    struct plain *p, size_t channel, enum record_origin origin, uint64_t id)
{
	const struct record rec = { .id = id, .origin = origin };

	return plain_was_passed(p, channel, &rec);
}

/* A stream of which one channel is looked at. */
struct scene {
	struct plain p;
	uint64_t recorded, heard; /* ids so far: in Redis, and in the stream */
};

/* A record comes, which was recorded before, or is just now. */
static bool
next_record_comes(struct scene *sc)
{
	if (sc->heard == sc->recorded)
		sc->recorded++;
	return record_comes(&sc->p, 0, ORIGIN_RECORDED, ++sc->heard);
}

/*
 * What happens: 1-9 a relay of that place, new; the same after '!': not new.
 * 'r' a record that was passed on, 'R' one that was not; 'p' one that was
 * published; 'x' one that is on its way.  'c' a cut; 'u' the recorder's
 * announcement, 'U' another's, 'F' its notice to forget; 't' a take that finds
 * it, 'T' another, '0' nobody.  false: it is not so.
 */
static bool
happens(struct scene *sc, char what, bool is_new)
{
	switch (what) {
	case 'r':
	case 'R':
		return next_record_comes(sc) == (what == 'r');
	case 'p':
		return !record_comes(
		    &sc->p, 0, ORIGIN_PUBLISHED, sc->heard + 1);
	case 'x':
		sc->recorded++;
		break;
	case 'c':
		plain_cut(&sc->p);
		break;
	case 'u':
	case 'U':
		up(&sc->p, what == 'u' ? "abc" : "other");
		break;
	case 'F':
		hear_notice(&sc->p, (struct str)S("0 0 r\nforget abc"));
		break;
	case 't':
	case 'T':
		plain_note_recorder(&sc->p, what == 't' ? "abc" : "other");
		break;
	case '0':
		plain_note_recorder(&sc->p, NULL);
		break;
	case '!':
		break;
	default:
		return relay_comes(&sc->p, 0, sc->recorded,
			   (uint64_t)(what - '0')) == is_new;
	}
	return true;
}

static void
play(const char *what, const char *script, bool is_newcomer)
{
	struct scene sc = { .recorded = 0 };
	const char *s;

	plain_init(&sc.p, NCHANNELS, is_newcomer);
	for (s = script; *s != '\0'; s++)
		if (!happens(&sc, *s, s == script || s[-1] != '!'))
			fail_msg("%s: %s at %s", what, script, s);
	plain_free(&sc.p);
}

static void
relays_are_known_as_records(void **state)
{
	/* the record of each message that was passed on is known, and no
	 * other */
	static const struct {
		const char *what, *script;
		const char *as_newcomer; /* where that differs */
	} table[] = {
		{ "nothing", "RR", NULL },
		{ "one", "1rR", NULL },
		{ "several", "123rrrR", NULL },
		{ "published ones are no matter", "12prpprpRp", NULL },
		{ "they step forward", "12r23rrrR", NULL },
		{ "to nothing, and again", "1r1r12rrR", NULL },
		{ "repeated", "12!1!2r2!1!2rrR", NULL },
		{ "some before the first", "!3!4RRRRR", "34rrrrR" },
		{ "before the first, after records", "R!2RRR", "R2rrR" },
		/* records that the recorder knows of and the stream does not */
		{ "on their way", "123xx2rrrrR", NULL },
		{ "on their way, and a gap", "12xx3rrRRrR", "12xx3rrRRrR" },
		{ "all on their way", "12xx1rrrR", NULL },
		{ "on their way, by and by", "12x2x2rrrrR", NULL },
		{ "on their way before the first", "xx1RRrR", NULL },
		{ "repeated, meanwhile", "12x2!2!1rrrR", NULL },
		/* what comes as a record later is not passed by */
		{ "a gap", "12!5rrRRRR", NULL },
		{ "two gaps", "!2!4!7!9RRRRRRRRRR", "2!4!7!9rrRRRRRRRR" },
		{ "a gap after all were recorded", "1r!3RRRR", NULL },
		{ "repeated in a gap", "1!5!3rRRRRR", NULL },
		/* after a cut nothing is taken for granted */
		{ "a cut between", "12c3rrrR", NULL },
		{ "a cut with a gap", "12c!4rrRRR", NULL },
		{ "a cut before the first", "c!3RRRR", NULL },
		{ "a relay that came again after it", "12c!2rrR", NULL },
		{ "records after it", "123cr34rrrrR", NULL },
		/* what ends it */
		{ "another recorder", "t12UTRRR", NULL },
		{ "another one's begin anew", "t12UT1rR", NULL },
		{ "a newcomer is none any more", "tUT!3RRRR", NULL },
		{ "the same one again", "t12u3rrrR", NULL },
		{ "who it is was heard", "u12u3rrrR", NULL },
		{ "another one, who was forged", "t12Ut3rrrR", NULL },
		{ "not known who it was", "12uRRR", NULL },
		{ "it forgets", "t12FRR", NULL },
		{ "it forgets, and goes on", "t12F!3RRRR", NULL },
		{ "another one, unheard", "t12TRRR", NULL },
		{ "the same one, found again", "t12t3rrrR", NULL },
		{ "for a while nobody", "t12003rrrR", NULL },
		{ "found for the first time", "12trrR", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		play(table[i].what, table[i].script, false);
		play(table[i].what,
		    table[i].as_newcomer != NULL ? table[i].as_newcomer
						 : table[i].script,
		    true);
	}
}

static void
channels_have_places_of_their_own(void **state)
{
	/* a newcomer to one may have come to the other before */
	struct plain p;

	(void)state;
	plain_init(&p, NCHANNELS, true);
	assert_true(relay_comes(&p, 0, 0, 1));
	assert_true(relay_comes(&p, 1, 0, 2));
	assert_true(record_comes(&p, 1, ORIGIN_RECORDED, 1));
	assert_true(record_comes(&p, 1, ORIGIN_RECORDED, 2));
	assert_false(record_comes(&p, 1, ORIGIN_RECORDED, 3));
	assert_true(record_comes(&p, 0, ORIGIN_RECORDED, 4));
	assert_false(record_comes(&p, 0, ORIGIN_RECORDED, 5));
	plain_free(&p);
}

static void
tokens_are_compared_whole(void **state)
{
	/* a token that is too long for any is nobody's */
	char endless[PLAIN_TOKEN_SIZE + 1];
	struct plain p;

	(void)state;
	memset(endless, 'x', PLAIN_TOKEN_SIZE);
	endless[PLAIN_TOKEN_SIZE] = '\0';
	plain_init(&p, NCHANNELS, false);
	plain_note_recorder(&p, "abc");
	assert_true(relay_comes(&p, 0, 0, 1));
	assert_true(relay_comes(&p, 0, 0, 2));
	plain_note_recorder(&p, endless);
	assert_true(record_comes(&p, 0, ORIGIN_RECORDED, 1));
	plain_note_recorder(&p, "abcd");
	assert_false(record_comes(&p, 0, ORIGIN_RECORDED, 2));
	plain_free(&p);
}

/* A relay on channel 1, after id 2, in memory of exactly its length. */
static bool
hold_relay(struct plain *p, uint64_t place, const char *frame)
{
	char *copy = exact_copy((struct str){ frame, strlen(frame) });
	const struct relay r = { 2, place, copy, strlen(frame) };
	bool is_held = plain_hold_relay(p, 1, &r);

	free(copy);
	return is_held;
}

static void
check_relay(struct plain *p, size_t *at, uint64_t place, const char *frame)
{
	struct relay r;
	size_t channel;

	assert_true(plain_next_relay(p, at, &channel, &r));
	assert_int_equal(channel, 1);
	assert_int_equal(r.base, 2);
	assert_int_equal(r.place, place);
	assert_true(is_equal(
	    r.frame, r.frame_len, (struct str){ frame, strlen(frame) }));
}

static void
quiet_is_who_waits_for_nothing(void **state)
{
	/* after an announcement, and while records are to come of what was
	 * passed on, a stream is not quiet; then it is again */
	static const struct {
		const char *script;
		bool want;
	} table[] = {
		{ "", true },
		{ "Rp", true },
		{ "1", false },
		{ "1p", false },
		{ "1r", true },
		{ "123rr", false },
		{ "123rrr", true },
		{ "12!5rr", true },
		{ "12!5rrR", true },
		{ "1r1", false },
		{ "1r1r", true },
		{ "12xx1rrr", true },
		{ "12!2rr", true },
		{ "12c", false },
		{ "1F", true },
		{ "t12T", true },
		{ "u", false },
		{ "u1r", false },
		{ "1R1R1", false },
		{ "!2!4!7!9RRRR", true },
		{ "1x1x1x1x1x1x1x1x1x1", false },
		{ "1x1x1x1x1x1x1x1x1x1rrrrrrrrrr", true },
	};
	struct scene sc;
	const char *s;
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		sc = (struct scene){ .recorded = 0 };
		plain_init(&sc.p, NCHANNELS, false);
		for (s = table[i].script; *s != '\0'; s++)
			happens(&sc, *s, true);
		if (plain_is_quiet(&sc.p) != table[i].want)
			fail_msg("%s", table[i].script);
		plain_free(&sc.p);
	}
}

static void
channels_come_and_go(void **state)
{
	/* each keeps what was passed on in it, under its new number; what was in
	 * those that are left is not waited for */
	static const bool first[] = { false, true, true },
			  last[] = { false, true };
	struct plain p;

	(void)state;
	plain_init(&p, 1, false);
	assert_int_equal(plain_add_channels(&p, 2), 0);
	assert_true(relay_comes(&p, 0, 0, 1));
	assert_true(relay_comes(&p, 1, 0, 1));
	assert_true(relay_comes(&p, 1, 0, 2));
	assert_int_equal(plain_add_channels(&p, 3), 0);
	assert_false(record_comes(&p, 2, ORIGIN_RECORDED, 1));
	assert_true(relay_comes(&p, 2, 1, 1));
	plain_keep_channels(&p, first);
	assert_true(record_comes(&p, 0, ORIGIN_RECORDED, 1));
	assert_false(plain_is_quiet(&p));
	plain_keep_channels(&p, last);
	assert_false(plain_is_quiet(&p));
	assert_true(record_comes(&p, 0, ORIGIN_RECORDED, 2));
	assert_false(record_comes(&p, 0, ORIGIN_RECORDED, 3));
	assert_true(plain_is_quiet(&p));
	assert_true(relay_comes(&p, 0, 3, 1));
	plain_keep_channels(&p, (const bool[]){ false });
	assert_true(plain_is_quiet(&p));
	assert_int_equal(plain_add_channels(&p, 1), 0);
	assert_false(record_comes(&p, 0, ORIGIN_RECORDED, 4));
	plain_free(&p);
}

static void
channels_come_before_any_relay(void **state)
{
	/* also to none */
	struct plain p;

	(void)state;
	plain_init(&p, 0, true);
	assert_true(plain_is_quiet(&p));
	assert_int_equal(plain_add_channels(&p, 2), 0);
	assert_true(relay_comes(&p, 1, 0, 1));
	assert_true(record_comes(&p, 1, ORIGIN_RECORDED, 1));
	plain_keep_channels(&p, (const bool[]){ false, false });
	assert_true(plain_is_quiet(&p));
	plain_free(&p);
}

static void
relays_are_held_until_a_take_believes_them(void **state)
{
	/* once a take has seen that a recorder passes messages on they pass, in
	 * order; when one sees that none does they are forgotten */
	struct plain p;
	struct relay r;
	size_t at = 0, channel;

	(void)state;
	plain_init(&p, NCHANNELS, false);
	assert_false(plain_next_relay(&p, &at, &channel, &r));
	assert_true(hold_relay(&p, 1, "a\n\n"));
	assert_true(hold_relay(&p, 2, ""));
	plain_set_relays(&p, true);
	assert_false(hold_relay(&p, 3, "c\n\n"));
	check_relay(&p, &at, 1, "a\n\n");
	check_relay(&p, &at, 2, "");
	assert_false(plain_next_relay(&p, &at, &channel, &r));
	plain_drop_relays(&p);
	at = 0;
	assert_false(plain_next_relay(&p, &at, &channel, &r));

	plain_set_relays(&p, false);
	assert_true(hold_relay(&p, 4, "d\n\n"));
	plain_set_relays(&p, false);
	assert_false(plain_next_relay(&p, &at, &channel, &r));
	/* none of these counts as passed on */
	assert_false(record_comes(&p, 1, ORIGIN_RECORDED, 3));
	assert_true(hold_relay(&p, 5, "e\n\n"));
	plain_free(&p);
}

static void
quiet_is_who_holds_nothing(void **state)
{
	/* neither messages that a take has yet to show recorded, nor relays that
	 * it has yet to believe */
	struct plain p;

	(void)state;
	plain_init(&p, NCHANNELS, false);
	up(&p, "abc");
	assert_false(plain_is_quiet(&p));
	plain_drop_held(&p);
	assert_true(plain_is_quiet(&p));
	assert_true(hold_relay(&p, 1, "a\n\n"));
	assert_false(plain_is_quiet(&p));
	plain_set_relays(&p, true);
	plain_drop_relays(&p);
	assert_false(plain_is_quiet(&p));
	plain_set_relays(&p, false);
	assert_true(plain_is_quiet(&p));
	plain_free(&p);
}

static void
relays_are_held_after_anothers_up(void **state)
{
	/* a take shows whose they are; the same recorder's go on */
	struct plain p;

	(void)state;
	plain_init(&p, NCHANNELS, false);
	plain_note_recorder(&p, "abc");
	plain_set_relays(&p, true);
	up(&p, "abc");
	assert_false(hold_relay(&p, 1, "a\n\n"));
	up(&p, "other");
	assert_true(hold_relay(&p, 2, "b\n\n"));
	plain_note_recorder(&p, "abc");
	plain_set_relays(&p, true);
	assert_false(hold_relay(&p, 3, "c\n\n"));
	plain_free(&p);
}

static void
megabyte_of_relays_is_held_at_most(void **state)
{
	const size_t len = (1 << 20) - 100;
	char *large = calloc(1, len);
	const struct relay r = { 2, 1, large, len };
	struct relay got;
	struct plain p;
	size_t at = 0, channel;

	(void)state;
	plain_init(&p, NCHANNELS, false);
	assert_true(plain_hold_relay(&p, 0, &r));
	assert_true(plain_hold_relay(&p, 0, &r));
	plain_set_relays(&p, true);
	assert_true(plain_next_relay(&p, &at, &channel, &got));
	assert_int_equal(got.frame_len, len);
	assert_false(plain_next_relay(&p, &at, &channel, &got));
	plain_free(&p);
	free(large);
}

/* A recorder's queue of one channel, and a stream that hears it. */
struct model {
	struct scene sc;
	bool is_passed[400]; /* to the stream, of each message */
	size_t nrelayed, nput;
	bool hears;
};

static void
step(struct model *m, uint64_t chance)
{
	struct scene *sc = &m->sc;
	bool is_passed;

	if (chance < 5 && m->nput < ROWS(m->is_passed)) {
		m->nput++;
	} else if (chance < 10 && m->nrelayed < m->nput &&
		   m->nrelayed - sc->heard < PLAIN_RANGES_MAX) {
		m->is_passed[m->nrelayed] =
		    m->hears && relay_comes(&sc->p, 0, sc->recorded,
				    m->nrelayed - sc->recorded + 1);
		m->nrelayed++;
	} else if (chance < 12 && sc->recorded < m->nrelayed) {
		sc->recorded++;
	} else if (chance < 14 && sc->heard < sc->recorded) {
		m->hears = true; /* by a take, at last */
		is_passed = m->is_passed[sc->heard];
		assert_int_equal(next_record_comes(sc), is_passed);
	} else if (chance == 14) {
		m->hears = !m->hears;
		plain_cut(&sc->p);
	}
}

static void
each_is_given_once(void **state)
{
	/* whatever is missed in cuts, and however late records come: what was
	 * passed on is known, and nothing else, as long as there is room */
	uint64_t chance = 1;
	struct model m;
	int run, i;

	(void)state;
	for (run = 0; run < 500; run++) {
		m = (struct model){ .hears = true };
		plain_init(&m.sc.p, 1, false);
		for (i = 0; i < 1000; i++) {
			chance = chance * UINT64_C(6364136223846793005) +
				 UINT64_C(1442695040888963407);
			step(&m, chance >> 60);
		}
		plain_free(&m.sc.p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coverage_tells_what_changed),
		cmocka_unit_test(message_becomes_a_frame),
		cmocka_unit_test(messages_are_held_after_up),
		cmocka_unit_test(take_says_whether_they_are_recorded),
		cmocka_unit_test(megabyte_is_held_at_most),
		cmocka_unit_test(relays_are_known_as_records),
		cmocka_unit_test(channels_have_places_of_their_own),
		cmocka_unit_test(tokens_are_compared_whole),
		cmocka_unit_test(quiet_is_who_waits_for_nothing),
		cmocka_unit_test(quiet_is_who_holds_nothing),
		cmocka_unit_test(channels_come_and_go),
		cmocka_unit_test(channels_come_before_any_relay),
		cmocka_unit_test(relays_are_held_until_a_take_believes_them),
		cmocka_unit_test(relays_are_held_after_anothers_up),
		cmocka_unit_test(megabyte_of_relays_is_held_at_most),
		cmocka_unit_test(each_is_given_once),
	};

	return cmocka_run_group_tests_name("plain", tests, NULL, NULL);
}
