/* SPDX-License-Identifier: ISC */
/*
 * sync.c - when EXPUNGE, EXISTS and FETCH may be told.
 *
 * Owns:    nothing; the view keeps what is pending.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; keyword names come from files and pass imap_write.
 * Spec:    RFC 3501 sections 5.2, 5.5, 7.3.1, 7.4.1: no EXPUNGE while FETCH,
 *          STORE or SEARCH run (with UID before them it may come), none of it
 *          while no command runs; RFC 2180 for mailboxes with many sessions.
 */
#include "imapd/sync.h"

#include "base/log.h"
#include "imapd/flags.h"
#include "imapd/reply.h"

static void
tell_expunge(void *arg, uint32_t seq, UNUSED uint32_t uid)
{
	struct cmd *c = arg;

	reply_untagged(c->s, "%u EXPUNGE", seq);
}

static void
tell_exists(void *arg, uint32_t count)
{
	struct cmd *c = arg;

	reply_untagged(c->s, "%u EXISTS", count);
}

static void
tell_recent(void *arg, uint32_t count)
{
	struct cmd *c = arg;

	reply_untagged(c->s, "%u RECENT", count);
}

static void
tell_flags(void *arg, uint32_t seq, uint32_t uid)
{
	sync_write_flags(arg, seq, uid);
}

static void
tell_keywords(void *arg)
{
	struct cmd *c = arg;

	sync_keywords(c->s);
}

static const struct view_sink sink = {
    .expunge = tell_expunge,
    .exists = tell_exists,
    .recent = tell_recent,
    .flags = tell_flags,
    .keywords = tell_keywords,
};

enum step
sync_tell(struct cmd *c)
{
	struct session *s = c->s;
	bool may_expunge = (c->def->flags & CMD_NO_EXPUNGE) == 0 || c->uid;
	enum step step = STEP_DONE;
	struct err e;

	if (s->view != NULL && !s->lost)
		step = view_sync(s->view, may_expunge, &sink, c, &e);
	if (step != STEP_FAIL)
		return step;
	if (e.code == ERR_NOT_FOUND || e.code == ERR_GONE) {
		s->lost = true;
		log_info("selected mailbox is gone user=<%s> mailbox=<%.*s>",
		    s->user, STR_ARG(session_mailbox(s)));
		return STEP_DONE;
	}
	log_error("mailbox sync failed user=<%s> mailbox=<%.*s> reason=%s",
	    s->user, STR_ARG(session_mailbox(s)), e.text);
	return STEP_DONE;
}

void
sync_keywords(struct session *s)
{
	if (mailbox_keyword_count(view_mailbox(s->view)) == s->keywords_told)
		return;
	sync_write_flag_names(s);
}

void
sync_write_flag_names(struct session *s)
{
	const struct mailbox *m = view_mailbox(s->view);

	s->keywords_told = mailbox_keyword_count(m);
	reply_begin(s);
	buf_add_c(&s->out, "FLAGS (");
	flags_write_names(&s->out, m);
	buf_add_c(&s->out, ")");
	reply_end(s);
	reply_begin(s);
	buf_add_c(&s->out, "OK [PERMANENTFLAGS (");
	if (!s->read_only && !view_may_change(s->view)) {
		buf_add_c(&s->out, "\\Seen");
	} else if (!s->read_only) {
		flags_write_names(&s->out, m);
		buf_add_c(&s->out, " \\*");
	}
	buf_add_c(&s->out,
	    s->read_only ? ")] No flags can be changed"
			 : ")] Flags that are kept");
	reply_end(s);
}

void
sync_write_flags(struct cmd *c, uint32_t seq, uint32_t uid)
{
	struct session *s = c->s;
	struct flags f;

	if (!view_flags(s->view, uid, &f))
		return;
	sync_keywords(s);
	reply_begin(s);
	buf_addf(&s->out, "%u FETCH (", seq);
	/* RFC 3501 section 6.4.8: UID commands get the UID in any case. */
	if (c->uid)
		buf_addf(&s->out, "UID %u ", uid);
	buf_add_c(&s->out, "FLAGS (");
	flags_write(&s->out, view_mailbox(s->view), &f);
	buf_add_c(&s->out, "))");
	reply_end(s);
}
