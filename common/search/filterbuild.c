/* SPDX-License-Identifier: ISC */
/*
 * filterbuild.c - one message of a mailbox after the other gets its filter.
 *
 * Owns:    struct filterbuild: about 100 KiB while it works.
 * Runs in: imapd, as the mail user, when nothing else is to be done.
 * Trusts:  nothing in messages. One that can not be read goes without a filter.
 *
 * No lock is held between two steps, and nothing waits for one: a message that
 * is locked is left to the next time. Filters are written with the other facts,
 * a few hundred at a time. Up to which UID all have one is kept, too, so that
 * the next process need not ask for each.
 */
#include "search/filterbuild.h"

#include "base/clock.h"
#include "index/cache.h"
#include "index/filter.h"
#include "search/filtermake.h"
#include "search/headkeys.h"

/*
 * Small messages may have more than their share, large ones, whose attachments
 * have no text, less: the share is taken half of the message's own size, half of
 * the mean of those before it, beginning with what is usual.
 */
#define MEAN_BYTES 16384
#define MEAN_WEIGHT 20

/* A group is written when it has this size, and opened again below the other. */
#define GROUP_BYTES (28 * 1024)
#define GROUP_SMALL_BYTES (8 * 1024)

/* When so much has been kept, the first of it must have been written. */
#define PROBE_BYTES (512 * 1024)

struct filterbuild {
	struct view *v;
	unsigned percent;
	struct filtermake *make;
	struct msg *msg; /* half done, or NULL */
	bool is_loaded; /* it has been opened for reading */
	struct filter_maker group; /* not yet written */
	struct buf record;
	struct arena arena;
	uint32_t uid; /* the next one */
	uint32_t top; /* the last one */
	uint64_t seen_bytes, seen; /* for the mean */
	bool left_out; /* one was locked */
	/* The first that was kept, and bytes that were since. */
	uint32_t probe;
	size_t probe_bytes;
};

/* Else mail that comes one by one would have groups of one. */
static void
reopen_last(struct filterbuild *b, uint32_t uid)
{
	struct filter_group g;
	struct str value;

	if (!view_filter_group(b->v, uid, &value) ||
	    value.n > GROUP_SMALL_BYTES || !filter_group_parse(value, &g) ||
	    g.n > FILTER_GROUP_MAX / 2 ||
	    filter_group_entry(&g, g.n - 1).uid > uid)
		return;
	for (uint32_t i = 0; i < g.n; i++)
		filter_maker_add(&b->group, filter_group_entry(&g, i).uid,
		    filter_group_record(&g, i));
}

static void
write_group(struct filterbuild *b)
{
	struct buf value;

	if (b->group.entries.n == 0)
		return;
	buf_init(&value, SIZE_MAX / 4);
	filter_maker_write(&b->group, &value);
	view_keep_filters(b->v, b->group.entries.v[0].uid, buf_str(&value));
	if (b->probe == 0)
		b->probe = b->group.entries.v[0].uid;
	b->probe_bytes += value.n;
	buf_done(&value);
	filter_maker_clear(&b->group);
}

struct filterbuild *
filterbuild_new(struct view *v, unsigned percent)
{
	const struct set32 *uids = view_uids(v);
	uint32_t done = view_filtered(v);
	struct filterbuild *b;

	if (percent == 0 || set32_is_empty(uids) || !view_keeps_facts(v) ||
	    done >= uids->r[uids->n - 1].last)
		return NULL;
	b = mem_new(1, sizeof(*b));
	b->v = v;
	b->percent = percent;
	b->uid = done + 1;
	b->seen = MEAN_WEIGHT;
	b->seen_bytes = MEAN_WEIGHT * MEAN_BYTES;
	b->top = uids->r[uids->n - 1].last;
	b->make = filtermake_new();
	buf_init(&b->record, CACHE_VALUE_MAX);
	filter_maker_init(&b->group);
	arena_init(&b->arena);
	if (done > 0)
		reopen_last(b, done);
	return b;
}

static void
leave_message(struct filterbuild *b)
{
	filtermake_drop(b->make);
	msg_close(&b->msg);
	arena_reset(&b->arena);
}

void
filterbuild_free(struct filterbuild **bp)
{
	struct filterbuild *b = *bp;

	if (b == NULL)
		return;
	leave_message(b);
	write_group(b);
	filter_maker_done(&b->group);
	filtermake_free(&b->make);
	buf_done(&b->record);
	arena_done(&b->arena);
	MEM_FREE(*bp);
}

/* Groups do not overlap: one that is full, or meets another, is written. */
static void
keep_filter(struct filterbuild *b)
{
	if (filter_maker_bytes(&b->group) + b->record.n > GROUP_BYTES)
		write_group(b);
	filter_maker_add(&b->group, b->uid, buf_str(&b->record));
	buf_clear(&b->record);
	if (b->group.entries.n == FILTER_GROUP_MAX)
		write_group(b);
}

static int
make_headkeys(struct filterbuild *b, struct err *e)
{
	struct str block, value;

	if (view_fact(b->v, b->uid, INDEX_HEADKEYS, &value))
		return 0;
	if (msg_header(b->msg, &block, e) == -1)
		return -1;
	headkeys_write(&b->record, &b->arena, block);
	if (!buf_is_over(&b->record))
		view_keep_fact(
		    b->v, b->uid, INDEX_HEADKEYS, buf_str(&b->record));
	buf_clear(&b->record);
	return 0;
}

static size_t
share_of(const struct filterbuild *b, uint64_t size)
{
	uint64_t share =
	    (size / 2 + b->seen_bytes / b->seen / 2) / 100 * b->percent;

	/* One in a group of its own must fit, too. */
	return share < CACHE_VALUE_MAX / 2 ? (size_t)share
					   : CACHE_VALUE_MAX / 2;
}

/* STEP_MORE: in the middle of it. STEP_FAIL: it can not be read. */
static enum step
make_one(struct filterbuild *b, struct err *e)
{
	enum step step;
	uint64_t size;

	if (b->msg == NULL) {
		if (msg_open(b->v, b->uid, &b->msg, e) == -1)
			return STEP_FAIL;
		if (msg_ready(b->msg, e) == STEP_MORE) {
			b->left_out = true;
			store_forget_wait(view_store_of(b->v));
			return err_set(e, ERR_IN_USE, "locked"), STEP_FAIL;
		}
		b->is_loaded = false;
	}
	if (!b->is_loaded) {
		step = msg_load_step(b->msg, MSG_FIRST_ALL, e);
		if (step != STEP_DONE)
			return step;
		if (msg_load_all(b->msg, e) == -1 || make_headkeys(b, e) == -1)
			return STEP_FAIL;
		b->is_loaded = true;
	}
	if (msg_size(b->msg, &size, e) == -1)
		return STEP_FAIL;
	step =
	    filtermake_step(b->make, b->msg, share_of(b, size), &b->record, e);
	if (step != STEP_DONE)
		return step;
	keep_filter(b);
	b->seen++;
	b->seen_bytes += size;
	return STEP_DONE;
}

/* Was the first that should have been written by now? */
static bool
is_kept(struct filterbuild *b)
{
	struct str value;
	bool kept;

	if (b->probe_bytes < PROBE_BYTES || b->probe == 0)
		return true;
	kept = view_filter(b->v, b->probe, &value) ||
	    !view_has_message(b->v, b->probe);
	b->probe = 0;
	b->probe_bytes = 0;
	return kept;
}

enum step
filterbuild_step(struct filterbuild *b, int64_t until_ms, struct err *e)
{
	struct err why;
	struct str value;

	while (
	    set32_next(view_uids(b->v), b->uid, &b->uid) && b->uid <= b->top) {
		/* The one that was half done is gone: this is another. */
		if (b->msg != NULL && msg_uid(b->msg) != b->uid)
			leave_message(b);
		if (b->msg == NULL && view_filter(b->v, b->uid, &value)) {
			write_group(b);
		} else {
			if (make_one(b, &why) == STEP_MORE)
				return STEP_MORE;
			leave_message(b);
			buf_clear(&b->record);
		}
		if (b->uid == UINT32_MAX)
			break;
		b->uid++;
		if (!is_kept(b))
			return err_set(
				   e, ERR_NO_SPACE, "filters can not be kept"),
			       STEP_FAIL;
		if (clock_mono_ms() >= until_ms)
			return STEP_MORE;
	}
	write_group(b);
	if (!b->left_out)
		view_note_filtered(b->v, b->top);
	return STEP_DONE;
}
