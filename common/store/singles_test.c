/* SPDX-License-Identifier: ISC */
/*
 * singles_test.c - random changes of a mailbox whose records are in the index
 * but for those that are being changed, by two sessions and another program,
 * against what must be so. RESTANTE_TEST_SEED runs one seed,
 * RESTANTE_TEST_SEEDS so many.
 */
#include "base/log.h"
#include "base/num.h"
#include "store/derived.h"
#include "tests/lib/indexed_box.h"

#define MESSAGES 600u /* three chunks */
#define SEEDS 12
#define ROUNDS 6
#define OPS 25

static uint64_t random_state;
static uint64_t lazy_ops; /* of all seeds */

struct model {
	struct box box;
	bool is_there[MESSAGES + 1];
	uint8_t flags[MESSAGES + 1];
	struct view *v, *other;
	uint64_t seed;
	unsigned lazy_ops; /* those that found it lazy */
};

static uint32_t
pick(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 11) % n;
}

static void
open_both(struct model *w)
{
	box_open(&w->box);
	w->v = box_view(&w->box, "INBOX", false);
	w->other = box_view(&w->box, "INBOX", false);
}

static void
close_both(struct model *w)
{
	settle(&w->box);
	(void)box_sync(w->v, true);
	(void)box_sync(w->other, true);
	view_close(&w->v);
	view_close(&w->other);
	box_close(&w->box);
}

static void
fill(struct model *w)
{
	char name[64];

	for (uint32_t i = 1; i <= MESSAGES; i++) {
		uint8_t f = pick(3) == 0 ? 0 : FLAG_SEEN;

		(void)snprintf(name, sizeof(name), "cur/%u.m:2,%s", 1000 + i,
		    f ? "S" : "");
		box_msg(&w->box, name);
		w->flags[i] = f;
		w->is_there[i] = true;
	}
	settle(&w->box);
	open_both(w);
	close_both(w);
}

/* ---- what must be so ------------------------------------------------------- */

static void
check_one(struct model *w, struct view *v, uint32_t uid)
{
	struct flags f;
	bool has = view_flags(v, uid, &f);

	if (has != w->is_there[uid] ||
	    (has && (f.system & FLAGS_STORED) != w->flags[uid]))
		fail_msg("seed %llu uid %u: %d %x, should be %d %x",
		    (unsigned long long)w->seed, uid, has, has ? f.system : 0,
		    w->is_there[uid], w->flags[uid]);
}

static void
check_counts(struct model *w)
{
	uint32_t n = 0, unseen = 0, deleted = 0, first = 0, seq = 0;
	struct mailbox_status st;
	struct err e;

	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		if (!w->is_there[uid])
			continue;
		n++;
		deleted += (w->flags[uid] & FLAG_DELETED) != 0;
		if (w->flags[uid] & FLAG_SEEN)
			continue;
		unseen++;
		if (first == 0) {
			first = uid;
			seq = n;
		}
	}
	assert_int_equal(view_count(w->v), n);
	if (view_first_unseen(w->v) != seq)
		fail_msg("seed %llu: first unseen %u, should be %u",
		    (unsigned long long)w->seed, view_first_unseen(w->v), seq);
	assert_int_equal(
	    now_status(w->box.store, STR("INBOX"), false, &st, &e), 0);
	if (st.messages != n || st.unseen != unseen || st.deleted != deleted)
		fail_msg("seed %llu: %u %u %u, should be %u %u %u",
		    (unsigned long long)w->seed, st.messages, st.unseen,
		    st.deleted, n, unseen, deleted);
}

static void
check_all(struct model *w)
{
	(void)box_sync(w->v, true);
	(void)box_sync(w->other, true);
	for (uint32_t uid = 1; uid <= MESSAGES; uid++) {
		check_one(w, w->v, uid);
		check_one(w, w->other, uid);
	}
	check_counts(w);
}

/* ---- operations ------------------------------------------------------------ */

static void
op_store(struct model *w)
{
	static const uint8_t some[] = {
	    FLAG_SEEN, FLAG_FLAGGED, FLAG_DELETED, FLAG_ANSWERED};
	uint32_t uid = 1 + pick(MESSAGES), last = uid + pick(4);
	uint8_t flag = some[pick(4)];
	enum store_op op = (enum store_op)pick(3);
	struct view *v = pick(2) ? w->v : w->other;
	struct err e;

	if (last > MESSAGES)
		last = MESSAGES;
	if (box_store(v, uid, last, op, flag, NULL, &e) == -1)
		fail_msg("%s", e.text);
	for (; uid <= last; uid++)
		if (w->is_there[uid])
			w->flags[uid] = op == STORE_SET ? flag
			    : op == STORE_ADD
			    ? w->flags[uid] | flag
			    : (uint8_t)(w->flags[uid] & ~flag);
}

static void
op_expunge(struct model *w)
{
	uint32_t at = 0;
	struct set32 s = box_set(1, MESSAGES);
	struct err e;
	enum step step;

	while ((step = view_expunge(w->v, &s, &at, &e)) == STEP_MORE)
		;
	assert_int_equal(step, STEP_DONE);
	set32_done(&s);
	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		if (w->flags[uid] & FLAG_DELETED)
			w->is_there[uid] = false;
}

/* Another program: a flag by a rename, or a file removed. */
static void
op_outside(struct model *w)
{
	uint32_t uid = 1 + pick(MESSAGES);
	char from[300], to[64], base[32];

	if (!w->is_there[uid])
		return;
	(void)snprintf(base, sizeof(base), "%u.m", 1000 + uid);
	(void)snprintf(
	    from, sizeof(from), "%s", box_find(&w->box, "cur", base));
	assert_true(from[0] != '\0');
	if (pick(3) == 0) {
		box_unlink(&w->box, from);
		w->is_there[uid] = false;
	} else {
		(void)snprintf(to, sizeof(to), "cur/%s:2,F", base);
		box_move(&w->box, from, to);
		w->flags[uid] = FLAG_FLAGGED;
	}
	/* Not in the same tick of the clock as our last look. */
	settle(&w->box);
	(void)box_sync(w->v, true);
}

static void
op_look(struct model *w)
{
	uint32_t uid = 1 + pick(MESSAGES);
	struct msg *m;
	struct err e;

	(void)box_sync(w->v, true);
	check_one(w, w->v, uid);
	if (!w->is_there[uid])
		return;
	if (msg_open(w->v, uid, &m, &e) == -1 || msg_load(m, 0, &e) == -1)
		fail_msg("seed %llu uid %u: %s", (unsigned long long)w->seed,
		    uid, e.text);
	msg_close(&m);
}

static void
act(struct model *w)
{
	struct err e;

	w->lazy_ops += view_mailbox(w->v)->lazy_top != 0;
	switch (pick(16)) {
	case 0:
		op_expunge(w);
		break;
	case 1:
		if (pick(3) == 0)
			op_outside(w);
		break;
	case 2:
		derived_flush(w->box.store);
		break;
	case 3:
		derived_pause(w->box.store);
		break;
	case 4:
		if (pick(8) == 0)
			assert_int_equal(
			    mailbox_load(view_mailbox(w->v), &e), 0);
		break;
	case 5:
		(void)box_sync(w->other, pick(2) == 0);
		break;
	case 6:
		(void)box_sync(w->v, true);
		check_counts(w);
		break;
	case 7:
	case 8:
	case 9:
		op_look(w);
		break;
	default:
		op_store(w);
	}
}

static void
run_seed(uint64_t seed)
{
	static struct model w;

	memset(&w, 0, sizeof(w));
	w.seed = seed;
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	box_init_fast(&w.box);
	w.box.has_index = true;
	w.box.poll_only = seed % 2 == 0;
	fill(&w);
	for (unsigned r = 0; r < ROUNDS; r++) {
		open_both(&w);
		assert_true(view_mailbox(w.v)->lazy_top != 0);
		for (unsigned i = 0; i < OPS; i++)
			act(&w);
		check_all(&w);
		close_both(&w);
	}
	lazy_ops += w.lazy_ops;
	box_done(&w.box);
}

static void
test_seeds(void **state)
{
	const char *one = getenv("RESTANTE_TEST_SEED");
	const char *many = getenv("RESTANTE_TEST_SEEDS");
	uint64_t n = SEEDS, seed;

	(void)state;
	log_set_sink(no_line, NULL);
	if (one != NULL && num_parse_u64(str_of(one), 1, UINT64_MAX, &seed)) {
		run_seed(seed);
		return;
	}
	if (many != NULL)
		(void)num_parse_u64(str_of(many), 1, 1000000, &n);
	for (seed = 1; seed <= n; seed++)
		run_seed(seed);
	/* It was worth the trouble. */
	assert_true(lazy_ops > n * ROUNDS * OPS / 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_seeds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
