/* SPDX-License-Identifier: ISC */
/* fan.h: who is there and hears what, while streams come and go. */
#include "test/unit/fan_scene.h"

/* --- at random, beside a simple model ----------------------------------- */

#define NNAMES 40
#define NKEYS 30
#define NSTREAMS 25
#define CHANNELS_MAX 5

struct model_stream {
	struct carried *c; /* NULL: free */
	bool hears[NNAMES];
	int key; /* -1: none */
	uint64_t offered, floor;
	struct buf want;
};

struct model_record {
	size_t name;
	uint64_t id;
};

struct model {
	struct fan fan;
	struct model_stream streams[NSTREAMS];
	struct model_record records[4000];
	size_t nrecords;
	uint64_t last[NNAMES], id;
	uint64_t chance;
};

static size_t
random_below(struct model *m, size_t n)
{
	m->chance = m->chance * UINT64_C(6364136223846793005) +
		    UINT64_C(1442695040888963407);
	return (size_t)(m->chance >> 33) % n;
}

static const char *
name_of(char kind, size_t i, char *name)
{
	snprintf(name, 24, "%c%zu", kind, i);
	return name;
}

static void
guest_comes(struct model *m, struct model_stream *s)
{
	char names[CHANNELS_MAX][24], key[24] = "";
	struct known channels[CHANNELS_MAX];
	size_t n = 0, i, name;

	memset(s->hears, 0, sizeof(s->hears));
	for (i = 0; i < 1 + random_below(m, CHANNELS_MAX); i++) {
		name = random_below(m, NNAMES);
		if (s->hears[name] || n == CHANNELS_MAX)
			continue;
		s->hears[name] = true;
		channels[n].name = name_of('c', name, names[n]);
		channels[n++].position = m->last[name];
	}
	s->key = random_below(m, 3) == 0 ? -1 : (int)random_below(m, NKEYS);
	if (s->key != -1)
		name_of('k', (size_t)s->key, key);
	s->c = add_guest(&m->fan, channels, n, key, "grant", 1);
	s->offered = m->id;
	buf_init(&s->want, 1 << 20);
}

static void
want_record(struct model_stream *s, const struct model_record *r)
{
	if (s->hears[r->name] && r->id > s->floor)
		buf_printf(&s->want, "id: %ju\ndata: x\n\n", (uintmax_t)r->id);
}

/* It has heard all up to some id since its offer. */
static void
guest_moves_in(struct model *m, struct model_stream *s)
{
	size_t i;

	s->floor = s->offered + random_below(m, m->id - s->offered + 1);
	for (i = 0; i < m->nrecords; i++)
		want_record(s, &m->records[i]);
	move_in(&m->fan, s->c, s->floor, 0);
	assert_true(fan_can_catch_up(&m->fan, s->c));
}

static void
stream_leaves(struct model *m, struct model_stream *s)
{
	fan_gone(&m->fan, s->c);
	s->c = NULL;
	buf_free(&s->want);
}

static void
record_comes(struct model *m)
{
	const struct model_record r = { random_below(m, NNAMES), ++m->id };
	char name[24];
	size_t i;

	name_of('c', r.name, name);
	if (!channel_set_has(&m->fan.channels, name, strlen(name)) ||
	    m->nrecords == ROWS(m->records))
		return;
	hear_record(&m->fan, name, r.id, m->last[r.name]);
	m->last[r.name] = r.id;
	m->records[m->nrecords++] = r;
	for (i = 0; i < NSTREAMS; i++)
		if (m->streams[i].c != NULL &&
		    m->streams[i].c->state == CARRIED_LIVE)
			want_record(&m->streams[i], &r);
}

static void
step(struct model *m)
{
	struct model_stream *s = &m->streams[random_below(m, NSTREAMS)];
	const size_t chance = random_below(m, 100);

	if (chance < 40)
		record_comes(m);
	else if (chance < 65 && s->c == NULL)
		guest_comes(m, s);
	else if (chance < 80 && s->c != NULL && s->c->state == CARRIED_GUEST)
		guest_moves_in(m, s);
	else if (chance < 90 && s->c != NULL)
		stream_leaves(m, s);
	else if (chance < 93)
		free(fan_forget_unused(&m->fan));
	else if (chance < 96 && m->fan.nguests == 0)
		recent_trim(&m->fan.recent, 200);
}

static void
check_places(const struct model *m, const struct model_stream *s)
{
	const struct fan *f = &m->fan;
	size_t i, n = 0, want = 0;
	char name[24];

	for (i = 0; i < NNAMES; i++)
		want += s->hears[i];
	for (i = 0; i < s->c->nchannels; i++, n++) {
		const uint32_t channel = s->c->channels[i];
		const struct audience *a = &f->audiences[channel];

		assert_true(channel < f->channels.n);
		assert_true(s->c->places[i] < a->n);
		assert_ptr_equal(a->members[s->c->places[i]].stream, s->c);
		assert_int_equal(a->members[s->c->places[i]].which, i);
		assert_true(s->hears[strtoul(
		    f->channels.items[channel].name + 1, NULL, 10)]);
	}
	assert_int_equal(n, want);
	if (s->key == -1) {
		assert_int_equal(s->c->key, CARRIED_NO_KEY);
		return;
	}
	assert_true(s->c->key < f->keys.n);
	assert_string_equal(
	    f->keys.items[s->c->key].name, name_of('k', (size_t)s->key, name));
}

static void
check_model(struct model *m)
{
	size_t i, n = 0, guests = 0, members = 0, places = 0;

	fan_write(&m->fan, NOW_MS);
	fan_sweep(&m->fan);
	for (i = 0; i < NSTREAMS; i++) {
		struct model_stream *s = &m->streams[i];

		if (s->c == NULL)
			continue;
		n++;
		guests += s->c->state == CARRIED_GUEST;
		places += s->c->nchannels;
		assert_ptr_equal(m->fan.streams[s->c->number], s->c);
		check_places(m, s);
		buf_putc(&s->want, '\0');
		if (s->c->state == CARRIED_LIVE)
			check_socket(s->c->fd, s->want.bytes, false);
		buf_reset(&s->want);
	}
	for (i = 0; i < m->fan.channels.n; i++)
		members += m->fan.audiences[i].n;
	assert_int_equal(m->fan.n, n);
	assert_int_equal(m->fan.nguests, guests);
	assert_int_equal(members, places);
}

static void
streams_come_and_go(void **state)
{
	/* each gets the records of its channels after its floor, once and in
	 * order, whoever else comes, leaves, or is renumbered */
	static struct model m;
	size_t i;
	int run;

	(void)state;
	for (run = 0; run < 30; run++) {
		m = (struct model){ .chance = (uint64_t)run, .id = 100 };
		scene_begin(&m.fan);
		recent_reset(&m.fan.recent, m.id);
		for (i = 0; i < 3000; i++) {
			step(&m);
			if (i % 5 == 0)
				check_model(&m);
		}
		for (i = 0; i < NSTREAMS; i++)
			if (m.streams[i].c != NULL)
				stream_leaves(&m, &m.streams[i]);
		check_model(&m);
		free(fan_forget_unused(&m.fan));
		assert_int_equal(m.fan.channels.n, 0);
		assert_int_equal(m.fan.keys.n, 0);
		scene_end(&m.fan);
	}
}

/* --- what is heard ------------------------------------------------------ */

static void
ping_says_what_is_heard(void **state)
{
	/* a guest waits for the ping after the newest of its channels */
	static const struct known ab[] = { { "a", 0 }, { "b", 0 } },
				  bc[] = { { "b", 0 }, { "c", 0 } };
	struct carried *first, *second;
	struct fan f;

	(void)state;
	scene_begin(&f);
	first = add_guest(&f, ab, 2, "", "", 1);
	assert_int_equal(fan_awaited_ping(&f, first), 1);
	second = add_guest(&f, bc, 2, "", "", 2);
	assert_int_equal(fan_awaited_ping(&f, second), 2);
	fan_pinged(&f, 1);
	assert_int_equal(fan_awaited_ping(&f, first), 0);
	assert_int_equal(fan_awaited_ping(&f, second), 2);
	fan_pinged(&f, 2);
	assert_int_equal(fan_awaited_ping(&f, second), 0);
	scene_end(&f);
}

static void
covered_is_what_is_here(void **state)
{
	/* all after the first record that was heard on each of the channels, or
	 * after a take; and what recent has */
	static const struct known ab[] = { { "a", 0 }, { "b", 0 } },
				  b[] = { { "b", 0 } };
	const struct take t = { .clock = 30 };
	struct carried *first, *second;
	struct fan f;

	(void)state;
	scene_begin(&f);
	recent_reset(&f.recent, 5);
	first = add_guest(&f, ab, 2, "", "", 1);
	assert_true(fan_covered(&f, first) == UINT64_MAX);
	hear_record(&f, "a", 10, 0);
	assert_true(fan_covered(&f, first) == UINT64_MAX);
	hear_record(&f, "b", 20, 0);
	hear_record(&f, "a", 25, 10);
	assert_int_equal(fan_covered(&f, first), 20);
	second = add_guest(&f, b, 1, "", "", 1);
	assert_int_equal(fan_covered(&f, second), 20);
	recent_trim(&f.recent, 0);
	assert_int_equal(fan_covered(&f, second), 25);
	scene_end(&f);

	scene_begin(&f);
	recent_reset(&f.recent, 5);
	first = add_guest(&f, ab, 2, "", "", 1);
	fan_taken(&f, &t);
	assert_int_equal(fan_covered(&f, first), 30);
	scene_end(&f);
}

static void
unused_names_are_noticed(void **state)
{
	/* many channels, or many sessions' keys, that are nobody's any more; not a
	 * few, and not those that are somebody's */
	static const struct {
		size_t nchannels, nkeys; /* of those who left */
		bool want;
	} table[] = {
		{ 0, 0, false },
		{ 10, 10, false },
		{ 200, 0, true },
		{ 0, 200, true },
		{ 200, 200, true },
	};
	struct known all = { "all", 0 }, one = { NULL, 0 };
	size_t i, k, n;
	char name[24], key[24];
	struct fan f;
	bool *is_kept;

	(void)state;
	for (i = 0; i < ROWS(table); i++) {
		scene_begin(&f);
		for (k = 0; k < 30; k++)
			add_guest(&f, &all, 1, name_of('s', k, key), "g", 1);
		n = table[i].nchannels > table[i].nkeys ? table[i].nchannels
							: table[i].nkeys;
		one.name = name;
		for (k = 0; k < n; k++) {
			name_of('c', k % (table[i].nchannels + 1), name);
			name_of('k', k % (table[i].nkeys + 1), key);
			fan_gone(&f,
			    add_guest(&f, table[i].nchannels > 0 ? &one : &all,
				1, table[i].nkeys > 0 ? key : "s1", "g", 1));
		}
		assert_false(fan_has_unused(&f));
		fan_sweep(&f);
		if (fan_has_unused(&f) != table[i].want)
			fail_msg("row %zu", i);
		is_kept = fan_forget_unused(&f);
		assert_non_null(is_kept);
		assert_true(is_kept[0]);
		free(is_kept);
		assert_false(fan_has_unused(&f));
		assert_int_equal(f.channels.n, 1);
		assert_int_equal(f.keys.n, 30);
		scene_end(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_come_and_go),
		cmocka_unit_test(ping_says_what_is_heard),
		cmocka_unit_test(covered_is_what_is_here),
		cmocka_unit_test(unused_names_are_noticed),
	};

	return cmocka_run_group_tests_name("fan", tests, NULL, NULL);
}
