/* SPDX-License-Identifier: ISC */
/*
 * store_status.c - how many messages a mailbox has, and the like.
 *
 * Owns:    struct status_job.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  no mailbox name.
 * Spec:    RFC 9051 section 6.3.11.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "os/watch.h"
#include "store/derived.h"
#include "store/mailbox_impl.h"
#include "store/msg.h"
#include "store/object.h"
#include "store/rights.h"
#include "store/seen.h"
#include "store/space.h"

void
store_hear(struct store *s, uint64_t input)
{
	if (s->heard == input + 1)
		return;
	s->heard = input + 1;
	watch_drain(s->hub);
}

struct status_job {
	struct store *s;
	struct mailbox *m;
	struct view *v; /* instead of it, with sizes */
	struct sync_mark sync;
	bool is_open, is_second_try;
	uint32_t uid; /* the next whose size is wanted */
	uint64_t size, deleted_size;
};

/* Wire sizes of all messages: by the names, else by reading. */
static enum step
sum_sizes(struct status_job *job, struct err *e)
{
	int64_t until = clock_mono_ms() + STEP_SLICE_MS;

	for (; set32_next(view_uids(job->v), job->uid, &job->uid); job->uid++) {
		struct msg *msg;
		struct flags f;
		uint64_t size;
		int one;

		if (msg_open(job->v, job->uid, &msg, e) == -1)
			continue;
		one = msg_wire_size(msg, &size, e);
		msg_close(&msg);
		if (one == 0) {
			job->size += size;
			if (view_flags(job->v, job->uid, &f) &&
			    (f.system & FLAG_DELETED) != 0)
				job->deleted_size += size;
		} else if (e->code != ERR_GONE)
			return STEP_FAIL;
		if (clock_mono_ms() >= until) {
			job->uid++;
			return STEP_MORE;
		}
	}
	return STEP_DONE;
}

static void
fill_status(struct mailbox *m, struct mailbox_status *out)
{
	struct derived_counts base;

	mailbox_freshen(m, 0);
	base = derived_counts(m);
	*out = (struct mailbox_status){
	    .messages = set32_count(&m->live),
	    .recent = set32_count(&m->recent),
	    .unseen = base.unseen,
	    .deleted = base.deleted,
	    .uidnext = m->uidnext,
	    .uidvalidity = m->uidvalidity,
	    .highest_modseq = mailbox_highest_modseq(m),
	};
	mailbox_object_id(m, out->mailbox_id);
	for (size_t i = 0; i < m->recs.n; i++) {
		const struct msg_rec *r = &m->recs.v[i];

		if (r->state != REC_LIVE)
			continue;
		out->unseen += !(r->system & FLAG_SEEN);
		out->deleted += (r->system & FLAG_DELETED) != 0;
	}
	if (seen_is_own(m))
		out->unseen = seen_count_unseen(m);
}

/* Up to date as of a moment after the job began. */
static enum step
status_look(
    struct status_job *job, struct str name, bool with_size, struct err *e)
{
	enum step step = STEP_DONE;

	if (with_size) {
		if (job->is_open)
			return STEP_DONE;
		step = view_open(job->s, name, true, &job->v, e);
		job->is_open = step == STEP_DONE;
		return step;
	}
	if (!job->is_open)
		step = mailbox_acquire_or_make(job->s, name, &job->m, e);
	if (step == STEP_DONE && rights_need(job->m->rights, ACL_READ, e) == -1)
		return STEP_FAIL;
	if (step == STEP_DONE) {
		job->is_open = true;
		step = mailbox_sync(job->m, &job->sync, e);
	}
	return step;
}

/*
 * A mailbox that nobody has open and that nobody has touched. Not of others:
 * there \Seen is the viewer's own, and the index has what is in the files.
 */
static bool
status_from_index(struct store *s, struct str name, bool with_size,
    struct mailbox_status *out)
{
	struct arena a;
	struct buf place;
	struct err e;
	bool ok;

	arena_init(&a);
	buf_init(&place, 16 * 1024);
	ok = space_of(&s, &a, &name, &e) == 0 && s->derived != NULL &&
	    s->head == NULL && s->ops->index_place != NULL &&
	    mailbox_find_open(s, name) == NULL &&
	    (s->ops->index_guess != NULL
		    ? s->ops->index_guess
		    : s->ops->index_place)(s, name, &place) &&
	    derived_status(s, name, buf_str(&place), with_size, out);
	buf_done(&place);
	arena_done(&a);
	return ok;
}

/* status_look(), in a job that is made if need be. */
static enum step
status_begin(struct store *s, struct status_job **jobp, struct str name,
    bool with_size, struct err *e)
{
	struct status_job *job = *jobp;
	enum step step;

	if (job == NULL) {
		job = *jobp = mem_new(1, sizeof(*job));
		job->s = s;
		job->uid = 1;
	}
	step = status_look(job, name, with_size, e);
	if (step != STEP_FAIL || job->m == NULL || !job->m->is_gone ||
	    job->is_second_try)
		return step;
	/* What was kept open is no more what lies there: once from the start. */
	mailbox_sync_end(job->m, &job->sync);
	mailbox_release(&job->m);
	job->is_open = false;
	job->is_second_try = true;
	return STEP_MORE;
}

enum step
store_status(struct store *s, struct str name, bool with_size,
    struct status_job **jobp, struct mailbox_status *out, struct err *e)
{
	struct status_job *job;
	enum step step;

	store_begin_step(s);
	if (*jobp == NULL && status_from_index(s, name, with_size, out))
		return STEP_DONE;
	step = status_begin(s, jobp, name, with_size, e);
	job = *jobp;
	if (step == STEP_DONE && with_size)
		step = sum_sizes(job, e);
	if (step == STEP_DONE)
		step = mailbox_freshen_some(
		    with_size ? view_mailbox(job->v) : job->m, 0);
	if (step != STEP_DONE)
		return step;
	fill_status(with_size ? view_mailbox(job->v) : job->m, out);
	out->size = job->size;
	out->deleted_size = job->deleted_size;
	return STEP_DONE;
}

enum step
store_note_annotation(
    struct store *s, struct str name, struct status_job **jobp, struct err *e)
{
	enum step step;

	store_begin_step(s);
	step = status_begin(s, jobp, name, false, e);
	if (step == STEP_DONE)
		derived_note_annotation((*jobp)->m);
	return step;
}

bool
store_status_known(struct store *s, struct str name, struct mailbox_status *out)
{
	return status_from_index(s, name, false, out);
}

void
mailbox_status(struct mailbox *m, struct mailbox_status *out)
{
	fill_status(m, out);
}

void
status_job_free(struct status_job **jobp)
{
	struct status_job *job = *jobp;

	*jobp = NULL;
	if (job == NULL)
		return;
	view_close(&job->v);
	if (job->m != NULL)
		mailbox_sync_end(job->m, &job->sync);
	mailbox_release(&job->m);
	free(job);
}
