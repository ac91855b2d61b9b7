/* SPDX-License-Identifier: ISC */
/*
 * index_check.c - heads, chunks, side bytes and slots of an index against each
 * other.
 *
 * Owns:    nothing.
 * Runs in: restantectl, as the mail user.
 * Trusts:  nothing in the index; every value that it meets has a right sum, or
 *          the index is damaged as a whole.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "index/index_check.h"
#include "index/index_key.h"

/* ---- outside ------------------------------------------------------------- */

void
index_look(const char *dir, struct index_outside *out)
{
	struct index_state state = {.fd = -1};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	*out = (struct index_outside){.verdict = INDEX_STATE_NEW};
	if (fd == -1)
		return;
	out->is_there = true;
	if (fstat(fd, &st) == 0)
		out->is_ours =
		    st.st_uid == geteuid() && (st.st_mode & 0022) == 0;
	if (fstatat(fd, "data.mdb", &st, AT_SYMLINK_NOFOLLOW) == 0)
		out->data_bytes = (uint64_t)st.st_size;
	if (fstatat(fd, "data.bad", &st, AT_SYMLINK_NOFOLLOW) == 0)
		out->bad_s = st.st_ctim.tv_sec;
	state.fd =
	    openat(fd, "state", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (state.fd != -1) {
		out->verdict = index_state_judge(&state, fd);
		close(state.fd);
	}
	close(fd);
}

/* ---- one mailbox --------------------------------------------------------- */

struct look {
	struct index *ix;
	index_fault_fn *fn;
	void *arg;
	struct index_check_sum *sum;
	struct index_head head;
	struct set32 live;
	struct set32 boxes; /* those that heads have, or that are to go */
};

static void PRINTF_LIKE(2, 3) tell(struct look *l, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->fn(l->arg, l->head.place, text);
}

/* What the head has of all chunks, and the set of their UIDs. */
struct seen {
	struct index_sums sums;
	struct set32 uids;
	uint64_t highest_modseq;
	uint32_t disorder; /* an UID that is not above the one before; or 0 */
	uint32_t sideless; /* one whose side bytes are out of range; or 0 */
};

static void
see_chunk(const struct index_chunk *c, uint32_t *last, struct seen *s)
{
	size_t from = 0;

	s->sums.n_chunks++;
	s->sums.n += c->n;
	for (uint32_t i = 0; i < c->n; i++) {
		struct index_rec r = index_chunk_rec(c, i);

		if (r.uid <= *last && s->disorder == 0)
			s->disorder = r.uid == 0 ? 1 : r.uid;
		*last = r.uid;
		if (r.uid != 0)
			set32_add(&s->uids, r.uid);
		if ((r.side_end < from || r.side_end > c->side.n) &&
		    s->sideless == 0)
			s->sideless = r.uid;
		from = r.side_end;
		if (r.known & INDEX_HAS_SIZE)
			s->sums.wire_sum += r.wire_size;
		else
			s->sums.unknown_sizes++;
		if (r.modseq > s->highest_modseq)
			s->highest_modseq = r.modseq;
	}
}

static void
see_chunks(struct look *l, struct seen *s)
{
	uint32_t last = 0;
	struct index_chunk c;
	bool more = index_box_chunk(l->ix, l->head.box, 1, true, &c);

	while (more) {
		uint32_t before = last;

		see_chunk(&c, &last, s);
		/* Out of order the walk might never end. */
		more = last > before &&
		    index_box_next(l->ix, l->head.box, true, &c);
	}
}

static bool
same_sets(const struct set32 *a, const struct set32 *b)
{
	return a->n == b->n &&
	    (a->n == 0 || memcmp(a->r, b->r, a->n * sizeof(*a->r)) == 0);
}

static void
check_chunks(struct look *l)
{
	const struct index_head *h = &l->head;
	struct seen s = {0};

	set32_init(&s.uids);
	see_chunks(l, &s);
	l->sum->messages += s.sums.n;
	if (s.disorder != 0)
		tell(l, "the UID %u is out of order", s.disorder);
	if (s.sideless != 0)
		tell(l, "the name of the message with UID %u is missing",
		    s.sideless);
	/* While not all is written the head has no circumstances. */
	if (h->backend.n > 0 && !same_sets(&s.uids, &l->live))
		tell(l, "of %u messages it has the records of %u", h->messages,
		    s.sums.n);
	if (s.sums.n_chunks != h->n_chunks || s.sums.wire_sum != h->wire_sum ||
	    s.sums.unknown_sizes != h->unknown_sizes)
		tell(l, "the sum of all sizes is %llu and should be %llu",
		    (unsigned long long)h->wire_sum,
		    (unsigned long long)s.sums.wire_sum);
	if (s.highest_modseq > h->highest_modseq)
		tell(l, "a message has a higher mod-sequence than the mailbox");
	set32_done(&s.uids);
}

/* Facts about messages that are not there. */
static void
check_slots(struct look *l)
{
	struct index_key prefix = index_key_box(l->head.box);
	struct str key, value;
	uint64_t strays = 0;
	bool more = index_seek(l->ix, &prefix, &prefix, &key, &value);

	for (; more; more = index_next(l->ix, &prefix, &key, &value)) {
		char kind = key.n > prefix.n ? key.p[prefix.n] : '\0';
		uint32_t uid = index_key_uid(key);

		if (kind >= 'a' && kind <= 'z' && !set32_has(&l->live, uid) &&
		    l->head.backend.n > 0)
			strays++;
	}
	if (strays > 0)
		tell(l, "it has facts about messages that are gone (%llu)",
		    (unsigned long long)strays);
}

static void
check_box(struct look *l)
{
	struct set32 recents;

	set32_init(&recents);
	set32_clear(&l->live);
	if (set32_has(&l->boxes, l->head.box))
		tell(l, "another mailbox has the same records");
	set32_add(&l->boxes, l->head.box);
	l->sum->mailboxes++;
	if (!index_set_parse(l->head.live, &l->live) ||
	    !index_set_parse(l->head.recents, &recents) ||
	    set32_count(&l->live) != l->head.messages) {
		tell(l, "its list of messages makes no sense");
	} else {
		check_chunks(l);
		check_slots(l);
	}
	set32_done(&recents);
}

/* ---- all ----------------------------------------------------------------- */

/* The heads' places: the cursor is needed for what lies below them. */
static void
check_heads(struct look *l)
{
	struct index_key heads = index_key_heads();
	VEC(char *) places = {0};
	struct str key, value;
	struct index_head h;
	bool more = index_seek(l->ix, &heads, &heads, &key, &value);

	for (; more; more = index_next(l->ix, &heads, &key, &value))
		if (index_head_parse(value, &h))
			*VEC_ADD(&places) = str_to_heap(h.place);
		else
			index_note_damage(l->ix, "head");
	VEC_EACH(&places, place) {
		if (!index_is_stale(l->ix) &&
		    index_box_head(l->ix, str_of(*place), &l->head))
			check_box(l);
		free(*place);
	}
	VEC_DONE(&places);
}

static void
add_dead(struct index *ix, struct set32 *boxes)
{
	struct index_key dead = index_key_dead();
	struct str key, value;
	bool more = index_seek(ix, &dead, &dead, &key, &value);

	for (; more; more = index_next(ix, &dead, &key, &value))
		if (index_key_box_of_dead(key) != 0)
			set32_add(boxes, index_key_box_of_dead(key));
}

/* Boxes with values that are not in `known`. */
static void
find_orphans(struct index *ix, const struct set32 *known, struct set32 *out)
{
	struct index_key all = index_key_boxes(), at = all;
	struct str key, value;

	while (index_seek(ix, &at, &all, &key, &value)) {
		uint32_t box = index_key_box_of(key);

		if (box != 0 && !set32_has(known, box))
			set32_add(out, box);
		if (box == UINT32_MAX)
			break;
		at = index_key_box(box + 1);
	}
}

static void
ignore(UNUSED void *arg, UNUSED struct str place, UNUSED const char *text)
{
}

static void
collect_orphans(struct look *l, struct set32 *orphans)
{
	add_dead(l->ix, &l->boxes);
	find_orphans(l->ix, &l->boxes, orphans);
	l->sum->orphans = set32_count(orphans);
}

bool
index_check(struct index *ix, index_fault_fn *fn, void *arg,
    struct index_check_sum *sum)
{
	struct look l = {.ix = ix, .fn = fn, .arg = arg, .sum = sum};
	struct set32 orphans;

	*sum = (struct index_check_sum){0};
	set32_init(&orphans);
	check_heads(&l);
	collect_orphans(&l, &orphans);
	set32_done(&orphans);
	set32_done(&l.live);
	set32_done(&l.boxes);
	return !index_is_stale(ix);
}

static int
kill_all(struct index *ix, void *arg, struct err *e)
{
	const struct set32 *boxes = arg;
	uint32_t box = 1;

	for (; set32_next(boxes, box, &box); box++)
		if (index_box_kill(ix, box, e) == -1)
			return -1;
	return 0;
}

int
index_drop_orphans(struct index *ix, struct err *e)
{
	struct index_check_sum sum = {0};
	struct look l = {.ix = ix, .fn = ignore, .sum = &sum};
	struct set32 orphans;
	bool is_all = false;
	int rc;

	set32_init(&orphans);
	check_heads(&l);
	collect_orphans(&l, &orphans);
	rc = index_write(ix, kill_all, &orphans, e);
	while (rc == 0 && !is_all)
		rc = index_box_bury(ix, 5000, &is_all, e);
	set32_done(&orphans);
	set32_done(&l.live);
	set32_done(&l.boxes);
	return rc;
}
