/* SPDX-License-Identifier: ISC */
/*
 * two_boxes.h - two stores, as of two processes, on one mbox, for unit tests,
 * and another program beside them.
 */
#ifndef TESTS_LIB_TWO_BOXES_H
#define TESTS_LIB_TWO_BOXES_H

#include "store/mbox/mbox_impl.h"
#include "tests/lib/other_mbox.h"

#define PSEUDO                                                                 \
	"From MAILER_DAEMON  Sat Nov 21 22:35:51 2026\n"                       \
	"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"         \
	"X-IMAP: 1795300550 0000000000\nStatus: RO\n\nThis text is "           \
	"internal.\n\n"
#define TEXT(n) "Subject: " n "\nMessage-ID: <" n "@x>\n\nbody " n "\n"
#define INBOX "spool/joe"

struct two {
	struct mbox_tuning tuning; /* as it was */
	struct box b;
	struct store *stores[2];
};

static UNUSED void
two_begin_as(struct two *t, bool poll_only)
{
	t->tuning = mbox_tuning;
	box_init_mbox(&t->b);
	box_write(&t->b, INBOX, PSEUDO);
	t->b.poll_only = poll_only;
	for (unsigned i = 0; i < 2; i++) {
		box_open(&t->b);
		t->stores[i] = t->b.store;
	}
}

static UNUSED void
two_begin(struct two *t)
{
	two_begin_as(t, true);
}

/* With an empty file, whose UIDs are told before they are written. */
static UNUSED void
two_begin_empty(struct two *t)
{
	two_begin(t);
	box_write(&t->b, INBOX, "");
	mbox_tuning.eager_bytes = 1;
}

static UNUSED void
two_end(struct two *t)
{
	mbox_tuning = t->tuning;
	store_close(&t->stores[0]);
	store_close(&t->stores[1]);
	t->b.store = NULL;
	box_done(&t->b);
}

static UNUSED struct view *
two_view(struct two *t, unsigned i, bool read_only)
{
	t->b.store = t->stores[i];
	return box_view(&t->b, "INBOX", read_only);
}

static UNUSED void
two_deliver(struct two *t, const char *text)
{
	struct other_mbox o;

	assert_true(other_lock(&o, box_path(&t->b, INBOX), true));
	other_append(&o, text);
	other_unlock(&o);
}

/* Another program puts the message `i` (from 0) behind the one after it. */
static UNUSED void
two_swap(struct two *t, size_t i)
{
	struct other_mbox o;
	struct other_msg first;

	assert_true(other_lock(&o, box_path(&t->b, INBOX), false));
	other_load(&o);
	first = o.v[i];
	o.v[i] = o.v[i + 1];
	o.v[i + 1] = first;
	other_save(&o, false);
	other_unlock(&o);
}

/* The message whose body says so is removed by another program. */
static UNUSED void
two_remove_body(struct two *t, const char *body)
{
	struct other_mbox o;

	assert_true(other_lock(&o, box_path(&t->b, INBOX), false));
	other_load(&o);
	for (size_t i = 0; i < o.n; i++)
		if (strcmp(o.v[i].body, body) == 0)
			o.v[i].is_gone = true;
	other_save(&o, false);
	other_unlock(&o);
}

static UNUSED enum step
two_remove_uid(struct view *v, uint32_t uid, struct err *e)
{
	struct set32 uids = box_set(uid, uid);
	uint32_t at = 0;
	enum step step = STEP_MORE;

	while (step == STEP_MORE)
		step = view_remove(v, &uids, &at, e);
	set32_done(&uids);
	return step;
}

#endif
