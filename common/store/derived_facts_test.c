/* SPDX-License-Identifier: ISC */
/*
 * derived_facts_test.c - what the index keeps of messages: facts, keywords, what
 * lies beside their records.
 */
#include "base/clock.h"
#include "store/derived_impl.h"
#include "tests/lib/indexed_box.h"

#define GUID "0123456789abcdef0123456789abcdef"

/* ---- facts --------------------------------------------------------------- */

static void
test_facts(void **state)
{
	struct box *b = *state;
	struct mailbox *m;
	struct view *v;
	struct msg *msg;
	struct str s;
	int64_t date;
	uint64_t size;
	struct err e;

	fill_known(b, 300);
	box_open(b);
	v = box_view(b, "INBOX", false);
	m = view_mailbox(v);
	assert_false(derived_get(m, 5, INDEX_ENVELOPE, &s));
	derived_put(m, 5, INDEX_ENVELOPE, STR("(envelope)"));
	derived_put(m, 5, INDEX_FIELDS, STR("Subject: x\r\n\r\n"));
	derived_pause(b->store);
	assert_true(derived_get(m, 5, INDEX_ENVELOPE, &s));
	assert_true(str_eq(s, STR("(envelope)")));
	/* In any order. */
	for (uint32_t uid = 19; uid >= 17; uid--) {
		assert_int_equal(msg_open(v, uid, &msg, &e), 0);
		assert_int_equal(msg_wire_size(msg, &size, &e), 0);
		msg_close(&msg);
	}
	assert_int_equal(msg_open(v, 5, &msg, &e), 0);
	assert_int_equal(msg_wire_size(msg, &size, &e), 0);
	assert_int_equal(msg_internal_date(msg, &date, &e), 0);
	msg_close(&msg);
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	m = view_mailbox(v);
	assert_int_equal(lazy(v), 300);
	for (uint32_t uid = 17; uid <= 19; uid++) {
		struct index_rec r;

		assert_true(derived_facts(m, uid, &r));
		assert_int_equal(r.known & 3, INDEX_HAS_SIZE);
	}
	{
		struct index_rec r;

		assert_true(derived_facts(m, 5, &r));
		assert_int_equal(r.known & 3, INDEX_HAS_SIZE | INDEX_HAS_DATE);
		assert_true(r.wire_size == size && r.date_s == date);
		assert_true(derived_facts(m, 6, &r));
		assert_int_equal(r.known & 3, 0);
	}
	assert_true(derived_get(m, 5, INDEX_FIELDS, &s));
	assert_false(derived_get(m, 6, INDEX_FIELDS, &s));
	/* Somebody edits the message: seen when it is opened. */
	box_write(b, "cur/1005.m5:2,S", "Subject: other\n\nother\n");
	assert_int_equal(msg_open(v, 5, &msg, &e), 0);
	assert_int_equal(msg_load(msg, 0, &e), 0);
	assert_int_equal(msg_wire_size(msg, &size, &e), 0);
	assert_int_equal(size, 25);
	msg_close(&msg);
	derived_pause(b->store);
	assert_false(derived_get(m, 5, INDEX_ENVELOPE, &s));
	{
		struct index_rec r;

		/* Its date was not asked for since. */
		assert_true(derived_facts(m, 5, &r));
		assert_int_equal(r.known & 3, INDEX_HAS_SIZE);
	}
	/* An expunge takes the facts along. */
	derived_put(m, 8, INDEX_ENVELOPE, STR("(eight)"));
	derived_pause(b->store);
	assert_true(derived_get(m, 8, INDEX_ENVELOPE, &s));
	assert_int_equal(
	    box_store(v, 8, 8, STORE_ADD, FLAG_DELETED, NULL, &e), 0);
	{
		struct set32 set = box_set(8, 8);
		uint32_t at = 0;
		enum step step;

		while ((step = view_expunge(v, &set, &at, &e)) == STEP_MORE)
			;
		assert_int_equal(step, STEP_DONE);
		set32_done(&set);
	}
	derived_flush(b->store);
	assert_false(derived_get(m, 8, INDEX_ENVELOPE, &s));
	view_close(&v);
}

/* Facts about messages whose records are not written yet come with them. */
static void
test_facts_first(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *msg;
	struct err e;
	uint64_t size;
	char name[64];

	for (int i = 1; i <= 50; i++) {
		(void)snprintf(name, sizeof(name), "cur/%d.m:2,", 1000 + i);
		box_msg(b, name);
	}
	settle(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (uint32_t uid = 1; uid <= 50; uid++) {
		struct index_rec r;

		assert_int_equal(msg_open(v, uid, &msg, &e), 0);
		assert_int_equal(msg_wire_size(msg, &size, &e), 0);
		msg_close(&msg);
		derived_put(view_mailbox(v), uid, INDEX_ENVELOPE, STR("e"));
		derived_pause(b->store);
		assert_true(derived_facts(view_mailbox(v), uid, &r));
		assert_int_equal(r.known & 1, INDEX_HAS_SIZE);
	}
	view_close(&v);
}

/* A message of `n` bytes: with LFs alone, without any, or with CRLFs. */
static uint64_t
write_sized(struct box *b, uint32_t uid, size_t n)
{
	static const char *const lines[] = {"\n", "text text\n", "line\r\n"};
	static const char head[] = "Subject: x\n\n";
	const char *line = lines[uid % 3];
	char *text = mem_new(n + sizeof(head) + 16, 1), name[64];
	uint64_t wire = n;
	size_t at = 0;

	if (n > sizeof(head))
		at = (size_t)snprintf(text, sizeof(head), "%s", head);
	while (at < n)
		at += (size_t)snprintf(text + at, 16, "%s", line);
	text[n] = '\0';
	for (size_t i = 0; i < n; i++)
		wire += text[i] == '\n' && (i == 0 || text[i - 1] != '\r');
	/* A size in the name makes it need a look, but no reading. */
	(void)snprintf(name, sizeof(name),
	    uid % 2 == 0 ? "cur/%u.m,S=%zu:2," : "cur/%u.m:2,", 1000 + uid, n);
	box_write(b, name, text);
	free(text);
	return wire;
}

static bool
is_on_one_side(uint64_t low, uint64_t high, uint64_t wire, uint64_t limit)
{
	return low <= wire && wire <= high &&
	    (low > limit || high < limit || low == high);
}

/* Told on which side of a limit a size is, at first, and from the index. */
static void
test_bounds(void **state)
{
	static const size_t sizes[] = {1, 2, 13, 50, 99, 100, 101, 2047, 2048,
	    2049, 3000, 4095, 4096, 4097, 6000, 8191, 8192, 8193, 9000, 20000};
	static const uint64_t limits[] = {0, 1, 100, 199, 4000, 4095, 4096,
	    5000, 8191, 8192, 19000, 1u << 20};
	enum { N = ARRAY_LEN(sizes) * 3 };
	uint64_t wire[N], low, high;
	struct box *b = *state;
	unsigned kept = 0;
	struct view_run run;
	struct view *v;
	struct msg *m;
	struct err e;

	for (uint32_t i = 0; i < N; i++)
		wire[i] = write_sized(b, i + 1, sizes[i / 3]);
	for (size_t l = 0; l < ARRAY_LEN(limits); l++) {
		settle(b);
		box_open(b);
		v = box_view(b, "INBOX", false);
		for (uint32_t i = 0; i < N; i++) {
			assert_int_equal(msg_open(v, i + 1, &m, &e), 0);
			assert_int_equal(
			    msg_wire_size_bounds(m, limits[l], &low, &high, &e),
			    STEP_DONE);
			assert_true(
			    is_on_one_side(low, high, wire[i], limits[l]));
			msg_close(&m);
		}
		view_close(&v);
		box_close(b);
		box_open(b);
		v = box_view(b, "INBOX", false);
		run = (struct view_run){0};
		for (uint32_t i = 0; i < N; i++) {
			struct msg_known known, next;

			assert_true(view_known(v, i + 1, &known));
			assert_true(view_known_next(v, i + 1, &run, &next));
			assert_true(next.has_size == known.has_size &&
			    next.has_date == known.has_date &&
			    next.wire_size == known.wire_size &&
			    next.low == known.low && next.high == known.high &&
			    next.date_s == known.date_s);
			kept += !known.has_size;
			assert_true(known.has_size
				? known.wire_size == wire[i]
				: is_on_one_side(known.low, known.high, wire[i],
				      limits[l]));
			/* What was told is no size. */
			assert_int_equal(msg_open(v, i + 1, &m, &e), 0);
			assert_int_equal(msg_wire_size(m, &low, &e), 0);
			assert_int_equal(low, wire[i]);
			msg_close(&m);
		}
		derived_flush(b->store);
		for (uint32_t i = 0; i < N; i++) {
			struct index_rec r;

			assert_true(derived_facts(view_mailbox(v), i + 1, &r));
			assert_int_equal(
			    r.known & (INDEX_HAS_SIZE | INDEX_HAS_BOUNDS),
			    INDEX_HAS_SIZE);
		}
		view_close(&v);
		box_close(b);
		remove_index(b);
		(void)unlink(box_path(b, "dovecot-uidlist"));
	}
	assert_in_range(kept, N * ARRAY_LEN(limits) / 3, N * ARRAY_LEN(limits));
}

/* Somebody makes a message of which that was told a larger one. */
static void
test_bounds_of_another(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct msg *m;
	struct err e;
	uint64_t low, high;
	struct msg_known known;

	(void)write_sized(b, 1, 500);
	settle(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(
	    msg_wire_size_bounds(m, 4000, &low, &high, &e), STEP_DONE);
	assert_int_equal(high, 1000);
	msg_close(&m);
	derived_flush(b->store);
	assert_true(view_known(v, 1, &known));
	assert_int_equal(known.high, 1000);
	(void)write_sized(b, 1, 700);
	assert_int_equal(msg_open(v, 1, &m, &e), 0);
	assert_int_equal(msg_load(m, 0, &e), 0);
	msg_close(&m);
	derived_pause(b->store);
	assert_true(view_known(v, 1, &known));
	assert_true(known.low == 0 && known.high == UINT64_MAX);
	view_close(&v);
}

/* ---- keywords ------------------------------------------------------------ */

static void
test_many_keywords(void **state)
{
	struct box *b = *state;
	struct view *v;
	struct err e;
	char name[16], all[400] = "";

	fill_known(b, 40);
	box_open(b);
	v = box_view(b, "INBOX", false);
	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(box_store(v, 4, 4, STORE_ADD, 0, name, &e), 0);
		(void)snprintf(
		    all + strlen(all), sizeof(all) - strlen(all), " %s", name);
	}
	(void)snprintf(all, sizeof(all), "%s", box_flags(v, 4));
	assert_non_null(strstr(all, "k29"));
	rest(b, v);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	assert_int_equal(lazy(v), 40);
	assert_string_equal(box_flags(v, 4), all);
	assert_string_equal(box_flags(v, 5), "S");
	/* Loaded, they are the same. */
	assert_int_equal(box_store(v, 5, 5, STORE_ADD, 0, "k28", &e), 0);
	assert_int_equal(lazy(v), 0);
	assert_string_equal(box_flags(v, 4), all);
	assert_string_equal(box_flags(v, 5), "S k28");
	view_close(&v);
}

/* Names with odd info parts and fields of the map survive the round. */
static void
test_side_bytes(void **state)
{
	struct box *b = *state;
	struct msg_facts f;
	struct mailbox *m;
	struct view *v;
	struct err e;

	box_write(b, "dovecot-uidlist",
	    "3 V5 N9 G" GUID "\n1 Puidl-1 O7 :x\n2 :y\n3 :z\n");
	box_msg(b, "cur/x:2,S,odd");
	box_msg(b, "cur/y:1,thing");
	box_msg(b, "cur/z");
	settle(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	view_close(&v);
	box_close(b);
	box_open(b);
	v = box_view(b, "INBOX", false);
	m = view_mailbox(v);
	assert_int_equal(lazy(v), 3);
	assert_true(b->store->ops->msg_facts(m, 1, &f));
	assert_true(str_eq(f.uidl, STR("uidl-1")));
	assert_int_equal(f.pop3_order, 7);
	for (uint32_t uid = 1; uid <= 3; uid++) {
		struct msg *msg;

		assert_int_equal(msg_open(v, uid, &msg, &e), 0);
		assert_int_equal(msg_load(msg, 0, &e), 0);
		msg_close(&msg);
	}
	assert_int_equal(lazy(v), 3);
	assert_int_equal(mailbox_load(m, &e), 0);
	assert_true(b->store->ops->msg_facts(m, 1, &f));
	assert_true(str_eq(f.uidl, STR("uidl-1")));
	assert_int_equal(
	    box_store(v, 1, 2, STORE_ADD, FLAG_FLAGGED, NULL, &e), 0);
	assert_true(box_has(b, "cur/x:2,FS,odd"));
	view_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	    T(test_facts),
	    T(test_facts_first),
	    T(test_bounds),
	    T(test_bounds_of_another),
	    T(test_many_keywords),
	    T(test_side_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
