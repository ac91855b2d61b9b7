/* SPDX-License-Identifier: ISC */
/*
 * resync.c - what a client that comes back has missed.
 *
 * Owns:    struct resync.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing the client claims to know.
 * Spec:    RFC 7162 sections 3.2.5, 3.2.5.2, 3.2.6, 3.2.10.1.
 */
#include "imapd/resync.h"

#include "imap/imap_set.h"
#include "imapd/reply.h"
#include "imapd/sync.h"
#include "store/view_modseq.h"

/* Messages that are looked at before the clock is asked. */
enum { LOOKS = 256 };

void
resync_write_vanished(struct session *s, uint64_t modseq,
    const struct set32 *known, uint32_t above)
{
	struct set32 gone, told;
	struct buf line;

	if (modseq >= view_highest_modseq(s->view))
		return;
	set32_init(&gone);
	set32_init(&told);
	view_vanished(s->view, modseq, &gone);
	if (above > 0)
		set32_remove_range(&gone, 1, above);
	set32_intersect(known, &gone, &told);
	if (!set32_is_empty(&told)) {
		buf_init(&line, SIZE_MAX / 2);
		buf_add_c(&line, "* VANISHED (EARLIER) ");
		imap_set_write(&line, &told);
		buf_add_c(&line, "\r\n");
		session_send(s);
		conn_write_str(s->conn, buf_str(&line));
		buf_done(&line);
	}
	set32_done(&gone);
	set32_done(&told);
}

/*
 * The highest UID that stands where the client has it: what vanished below is
 * known to it (section 3.2.5.2). One that matches means that all before it do,
 * so it is looked for by halves: the client may name billions.
 */
static uint32_t
matching_uid(struct session *s, struct select_param *p)
{
	uint32_t lo = 0, found = 0, mid, uid;
	uint32_t hi = set32_count_le(&p->match_seqs, view_count(s->view));

	while (lo < hi) {
		mid = hi - (hi - lo) / 2;
		uid = set32_at(&p->match_uids, mid);
		if (view_uid(s->view, set32_at(&p->match_seqs, mid)) == uid) {
			found = uid;
			lo = mid;
		} else {
			hi = mid - 1;
		}
	}
	return found;
}

static void
begin(struct session *s, struct select_param *p, struct resync *r)
{
	uint32_t next = mailbox_uidnext(view_mailbox(s->view));

	r->begun = true;
	r->uid = 1;
	/* Not a number of ours (another server's, say): the client knows nothing. */
	if (p->modseq > view_highest_modseq(s->view))
		p->modseq = 0;
	if (p->has_known)
		set32_copy(&r->known, &p->known);
	else if (next > 1)
		set32_add_range(&r->known, 1, next - 1);
	resync_write_vanished(s, p->modseq, &r->known, matching_uid(s, p));
}

enum step
resync_step(struct cmd *c, struct select_param *p, struct resync *r)
{
	struct session *s = c->s;
	const struct set32 *all = view_uids(s->view);
	unsigned n = 0;

	if (p->uidvalidity != mailbox_uidvalidity(view_mailbox(s->view)))
		return STEP_DONE;
	if (!r->begun)
		begin(s, p, r);
	if (p->modseq >= view_highest_modseq(s->view))
		return STEP_DONE;
	while (r->uid != 0 && set32_next(all, r->uid, &r->uid)) {
		if (set32_has(&r->known, r->uid) &&
		    view_modseq(s->view, r->uid) > p->modseq)
			sync_write_flags(c, r->uid);
		r->uid++;
		if (conn_is_full(s->conn) ||
		    (++n % LOOKS == 0 && cmd_time_is_up(c)))
			return STEP_MORE;
	}
	return STEP_DONE;
}

void
resync_done(struct resync *r)
{
	set32_done(&r->known);
}
