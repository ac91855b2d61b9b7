/* SPDX-License-Identifier: ISC */
/*
 * model_test.c - random operations of several sessions, of one process and of
 * two, with another program's edits between them, against a model that says
 * what each session must see.
 *
 * Everything happens in one thread, so a seed is a run. Each operation is done
 * in the smallest steps, and other sessions look at the mailbox between them.
 * The model knows for each mailbox the messages that are there with their
 * flags; each session has a mirror, which knows only what it was told:
 *  1. after a sync with expunges the mirror is the model: no message is
 *     missing, doubled, torn or back again, and flags are what they must be;
 *  2. EXPUNGE names the message that the mirror has there, EXISTS never falls;
 *     without may_expunge no number changes;
 *  3. what changed without having been told is told (flags by somebody else);
 *  4. a message keeps its UID, UIDs ascend in the order of arrival, none is
 *     given twice, the next one is above all.
 *
 * RESTANTE_TEST_SEED runs one seed, RESTANTE_TEST_SEEDS so many,
 * RESTANTE_TEST_OPS so many operations in each,
 * RESTANTE_TEST_TRACE=1 tells what is done. What other programs do
 * to each backend's mail is in tests/lib/model_outside.h.
 */
#include "../tests/lib/model_ops.h"
#include "../tests/lib/model_outside.h"
#include "base/clock.h"
#include "store/derived.h"

#define SEEDS 1000
#define OPS 40

/* As after a while in which nothing was done. */
static void
rest(struct store *s)
{
	trace("rest");
	derived_pause(s);
	derived_rest(s);
}

static void
act(void)
{
	struct session *s = &w->s[pick(SESSIONS)];
	unsigned what = pick(20);

	if (s->v == NULL) {
		trace("session %d opens", (int)(s - w->s));
		open_session(s);
		return;
	}
	trace("session %d, in %s", (int)(s - w->s), box_names[s->m - w->boxes]);
	/* A session does one thing after the other. */
	if (what >= 5 && what != 9 && s->v->sync.begun)
		finish_sync(s);
	if (what < 4) {
		w->how->outside();
	} else if (what == 4) {
		begin_sync(s);
	} else if (what < 9) {
		sync_session(s, pick(3) > 0);
	} else if (what == 9) {
		view_close(&s->v);
	} else if (view_is_read_only(s->v)) {
		op_read(s);
	} else if (what < 12) {
		op_append(s);
	} else if (what <= 15 && s->m->is_unsorted) {
		op_read(s); /* renumbered meanwhile it may be gone */
	} else if (what < 15) {
		op_store(s);
	} else if (what == 15) {
		op_expunge(s);
	} else if (what >= 16 && may_sort()) {
		op_read(s);
	} else if (what == 16) {
		op_copy(s, false);
	} else if (what == 17) {
		op_copy(s, true);
	} else if (what == 18) {
		op_copy_given_up(s);
	} else {
		op_read(s);
	}
	w->how->touch();
	if (w->box.has_index && pick(6) == 0)
		rest(w->stores[pick(2)]);
}

/* ---- runs ---------------------------------------------------------------- */

/*
 * Half of the runs with mbox: of a file that has grown only the tail is read,
 * and what was written is old enough for the index.
 */
static void
use_tails(bool on)
{
	static struct mbox_tuning tuning;

	if (tuning.whole_bytes == 0)
		tuning = mbox_tuning;
	mbox_tuning = tuning;
	if (on) {
		mbox_tuning.whole_bytes = 0;
		mbox_tuning.freshen_ms = 0;
	}
	clock_set_for_test(-1, -1);
	if (on)
		clock_set_for_test(-1, clock_wall_us() + 100000000);
}

static void
begin(const struct backend *how)
{
	bool with_index = seed % 4 >= 2;

	*w = (struct world){.how = how, .s = {{0}}};
	how->init(&w->box);
	w->box.poll_only = true;
	use_tails(with_index && how == &backends[1]);
	for (unsigned i = 0; i < 2; i++) {
		/* Each has its own, as on two hosts, or none. */
		w->box.has_index = with_index;
		w->box.index_name = i == 0 ? "index" : "index2";
		box_open(&w->box);
		w->stores[i] = w->box.store;
	}
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct session *s = &w->s[i];

		s->uids = mem_new(ENTRIES_MAX, sizeof(*s->uids));
		s->flags = mem_new(ENTRIES_MAX, 1);
		s->words = mem_new(ENTRIES_MAX, 1);
		open_session(s);
		how->touch();
	}
}

static void
end(void)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct session *s = &w->s[i];

		if (s->v != NULL)
			sync_session(s, true);
		view_close(&s->v);
		free(s->uids);
		free(s->flags);
		free(s->words);
	}
	store_close(&w->stores[0]);
	store_close(&w->stores[1]);
	w->box.store = NULL;
	box_done(&w->box);
}

static uint64_t
from_env(const char *name, uint64_t preset)
{
	const char *text = getenv(name);
	uint64_t v;

	return text != NULL && num_parse_u64(str_of(text), 1, UINT64_MAX, &v)
	    ? v
	    : preset;
}

static const uint64_t known[] = {1715};

static void
run_seed(uint64_t of, uint64_t ops)
{
	seed = of;
	rng = seed * UINT64_C(0x9e3779b97f4a7c15);
	begin(&backends[seed % ARRAY_LEN(backends)]);
	for (uint64_t i = 0; i < ops; i++)
		act();
	end();
}

static void
test_model(void **state)
{
	uint64_t one = from_env("RESTANTE_TEST_SEED", 0);
	uint64_t last = one != 0 ? one : from_env("RESTANTE_TEST_SEEDS", SEEDS);

	uint64_t ops = from_env("RESTANTE_TEST_OPS", OPS);

	(void)state;
	w = mem_new(1, sizeof(*w));
	store_slice_ms = 0;
	for (uint64_t i = one != 0 ? one : 1; i <= last; i++)
		run_seed(i, ops);
	/* Those beyond that have found something. */
	for (size_t i = 0; one == 0 && i < ARRAY_LEN(known); i++)
		run_seed(known[i], ops);
	use_tails(false);
	store_slice_ms = 4;
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	};

	is_traced = getenv("RESTANTE_TEST_TRACE") != NULL;
	log_set_level(LOG_LEVEL_FATAL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
