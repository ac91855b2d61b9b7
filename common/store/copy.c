/* SPDX-License-Identifier: ISC */
/*
 * copy.c - COPY and MOVE, a few messages at a time; all of them, or none.
 *
 * Owns:    struct copy_job.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; UIDs that are not in the view are passed over.
 * Spec:    RFC 3501 section 6.4.7, RFC 4314 section 4, RFC 4315, RFC 6851.
 *
 * struct copy_job:
 *
 *	OPENING --> STAGING --all there--> CHECKING --> COMMITTING --COPY--> done
 *	                                       COMMITTING --MOVE--> REMOVING --> done
 *	                                       COMMITTING --no links--> OPENING
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/change_impl.h"
#include "store/quota.h"
#include "store/rights.h"
#include "store/seen.h"

#define COPY_PIECE (64 * 1024)

struct copy_job {
	struct append *to;
	struct set32 from; /* copied */
	uint32_t at, remove_at;
	enum copy_phase {
		OPENING,
		STAGING,
		CHECKING,
		COMMITTING,
		REMOVING,
	} phase;
	bool counts; /* sizes, for the quota */
	bool no_links; /* what struct append has */
	uint32_t uidvalidity;
	struct set32 uids; /* new ones */
};

/* The flags of a message by name. */
static void
flags_of(struct mailbox *from, const struct msg_rec *r, struct arena *a,
    struct flag_wish *out)
{
	size_t n_more, n = 0, bits = (size_t)__builtin_popcount(r->keywords);
	const uint16_t *more = mailbox_more(from, r, &n_more);
	struct str *names = arena_new(a, bits + n_more, sizeof(*names));

	for (size_t i = 0; i < KEYWORD_LETTERS; i++)
		if (r->keywords & 1u << i)
			names[n++] = mailbox_keyword_name(from, i);
	for (size_t i = 0; i < n_more; i++)
		names[n++] = mailbox_keyword_name(from, more[i]);
	*out = (struct flag_wish){
	    .system = r->system & (FLAGS_STORED | FLAG_PASSED),
	    .keywords = names,
	};
	if (seen_is_own(from)) {
		out->system &= (uint8_t)~FLAG_SEEN;
		out->system |= seen_has(from, r->uid) ? FLAG_SEEN : 0;
	}
	for (size_t i = 0; i < n; i++)
		if (names[i].n > 0)
			names[out->n_keywords++] = names[i];
}

/* Reads the message and appends its bytes, where no link is possible. */
static enum step
copy_bytes(struct append *to, struct mailbox *from, uint32_t uid,
    const struct flag_wish *w, struct err *e)
{
	const struct append_ops *ops = to->m->store->ops->append;
	struct msg_file f = {.fd = -1};
	char *piece;
	size_t got;
	enum step step = STEP_FAIL;

	if (from->store->ops->msg_open(from, uid, &f, e) == -1)
		return STEP_FAIL;
	piece = mem_new(1, COPY_PIECE);
	if (ops->message(to, w, f.date_s, e) == -1)
		goto out;
	for (uint64_t off = 0; off < f.size; off += got) {
		if (msg_file_read(from, &f, off, piece, COPY_PIECE, &got, e) ==
		    -1)
			goto out;
		if (got == 0)
			break;
		if (ops->data(to, str_make(piece, got), e) == -1)
			goto out;
	}
	step = STEP_DONE;
out:
	free(piece);
	msg_file_close(from, &f);
	return step;
}

static enum step
stage_one(
    struct copy_job *job, struct mailbox *from, uint32_t uid, struct err *e)
{
	const struct allowed allowed = change_allowed(job->to->m);
	const struct msg_rec *r;
	struct flag_wish w;
	struct arena a;
	enum step step;

	if (from->store->ops->ready != NULL) {
		step = from->store->ops->ready(from, uid, e);
		if (step != STEP_DONE)
			return step;
	}
	if (mailbox_freshen_some(from, uid) == STEP_MORE)
		return STEP_MORE;
	mailbox_freshen(from, uid);
	r = mailbox_rec(from, uid);
	if (r == NULL || r->state != REC_LIVE) {
		(void)err_set(e, ERR_GONE, "message is gone");
		return STEP_FAIL;
	}
	arena_init(&a);
	flags_of(from, r, &a, &w);
	change_limit(&allowed, &w);
	append_take_seen(job->to, set32_count(&job->from) + 1, &w);
	step = job->to->m->store->ops->append->copy(job->to, from, uid, &w, e);
	if (step == STEP_FAIL && e->code == ERR_UNSUPPORTED)
		step = copy_bytes(job->to, from, uid, &w, e);
	if (step == STEP_DONE) {
		if (job->counts)
			job->to->bytes += append_size_of(from, uid);
		job->to->count++;
	}
	arena_done(&a);
	return step;
}

static enum step
stage_some(struct copy_job *job, struct view *v, const struct set32 *uids,
    bool move, struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;
	uint32_t uid;

	while (change_next(v, uids, &job->at, &uid)) {
		enum step step = stage_one(job, v->m, uid, e);

		if (step == STEP_DONE)
			set32_add(&job->from, uid);
		else if (step == STEP_MORE || !move || e->code != ERR_GONE)
			return step;
		job->at = uid + 1;
		if (clock_mono_ms() >= until)
			return STEP_MORE;
	}
	return STEP_DONE;
}

static enum step
open_target(struct copy_job *job, struct view *v, struct str dest, bool move,
    struct err *e)
{
	enum step step = append_open(v->store, dest, &job->to, e);

	if (step != STEP_DONE)
		return step;
	job->to->may_drop = job->to->moves = move;
	job->to->no_links = job->no_links;
	job->counts = (!move || !append_is_counted_with(v->m, job->to->m)) &&
	    quota_is_kept(job->to->m->store);
	return step;
}

/* Those whose messages were gone before they could be copied. */
static void
forget_dropped(struct copy_job *job)
{
	struct set32 *dropped = &job->to->dropped, gone;
	uint32_t n, uid;

	set32_init(&gone);
	for (n = 1; set32_next(dropped, n, &n); n++)
		set32_add(&gone, set32_at(&job->from, n));
	for (uid = 1; set32_next(&gone, uid, &uid); uid++)
		set32_remove(&job->from, uid);
	set32_done(&gone);
}

static enum step
commit_copies(struct copy_job *job, struct err *e)
{
	enum step step =
	    append_commit_some(job->to, &job->uidvalidity, &job->uids, e);

	if (step == STEP_DONE)
		forget_dropped(job);
	if (step != STEP_FAIL || e->code != ERR_UNSUPPORTED || job->no_links)
		return step;
	/* Not all can be linked to their place: once more, by way of tmp/. */
	append_free(&job->to);
	set32_clear(&job->from);
	job->at = 0;
	job->no_links = true;
	job->phase = OPENING;
	return STEP_MORE;
}

enum step
view_copy(struct view *v, const struct set32 *uids, struct str dest, bool move,
    struct copy_job **jobp, struct copy_result *out, struct err *e)
{
	struct copy_job *job = *jobp;
	enum step step = STEP_DONE;

	store_begin_step(v->store);
	if (move &&
	    (rights_need(v->m->rights, ACL_DELETED | ACL_EXPUNGE, e) == -1 ||
		change_may_write(v, e) == -1))
		return STEP_FAIL;
	if (job == NULL)
		job = *jobp = mem_new(1, sizeof(*job));
	switch (job->phase) {
	case OPENING:
		step = open_target(job, v, dest, move, e);
		break;
	case STAGING:
		step = stage_some(job, v, uids, move, e);
		break;
	case CHECKING:
		if (job->counts)
			step = store_quota_may_add(job->to->m->store,
			    mailbox_name(job->to->m), job->to->bytes,
			    job->to->count, e);
		break;
	case COMMITTING:
		if (move)
			change_expect(v->m, set32_count(&job->from));
		step = commit_copies(job, e);
		if (move && step == STEP_FAIL)
			change_expect(v->m, 0);
		break;
	case REMOVING:
		step = change_remove(v, &job->from, false, &job->remove_at, e);
		break;
	}
	if (step != STEP_DONE)
		return step;
	if (job->phase < (move ? REMOVING : COMMITTING)) {
		job->phase++;
		return STEP_MORE;
	}
	out->uidvalidity = job->uidvalidity;
	set32_copy(&out->from, &job->from);
	set32_copy(&out->to, &job->uids);
	return STEP_DONE;
}

uint32_t
copy_job_count(const struct copy_job *job)
{
	return job != NULL ? set32_count(&job->from) : 0;
}

void
copy_job_free(struct copy_job **jp)
{
	struct copy_job *job = *jp;

	*jp = NULL;
	if (job == NULL)
		return;
	append_free(&job->to);
	set32_done(&job->from);
	set32_done(&job->uids);
	free(job);
}
