/* SPDX-License-Identifier: ISC */
/*
 * sync.c - when EXPUNGE, EXISTS and FETCH may be told.
 *
 * Owns:    nothing; the view keeps what is pending.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; keyword names come from files and pass imap_write.
 * Spec:    RFC 3501 sections 5.2, 5.5, 7.3.1, 7.4.1: no EXPUNGE while FETCH,
 *          STORE or SEARCH run (with UID before them it may come), none of it
 *          while no command runs; RFC 2180 for mailboxes with many sessions;
 *          RFC 7162 sections 3.2 and 3.2.10 (VANISHED), 3.2.4 (UID, MODSEQ);
 *          RFC 9586 sections 3.3, 3.6 (UIDFETCH); RFC 5465 section 3.1.
 */
#include "imapd/sync.h"

#include "base/log.h"
#include "imap/imap_set.h"
#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/flags.h"
#include "imapd/habit.h"
#include "imapd/metadata.h"
#include "imapd/modseq.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "store/view_modseq.h"

/* What a view's sink has to know. */
struct telling {
	struct session *s;
	unsigned what; /* enum sync_what */
	bool uid;
};

/* With QRESYNC and UIDONLY they are told together, as UIDs. */
static void
tell_expunge(void *arg, uint32_t seq, uint32_t uid)
{
	struct telling *t = arg;

	if (t->s->qresync || t->s->uid_only)
		set32_add(&t->s->vanished, uid);
	else
		reply_untagged(t->s, "%u EXPUNGE", seq);
}

static void
tell_vanished(struct session *s)
{
	if (set32_is_empty(&s->vanished))
		return;
	reply_begin(s);
	buf_add_c(&s->out, "VANISHED ");
	imap_set_write(&s->out, &s->vanished);
	reply_end(s);
	set32_clear(&s->vanished);
}

static void
tell_exists(void *arg, uint32_t count)
{
	struct telling *t = arg;

	tell_vanished(t->s);
	reply_untagged(t->s, "%u EXISTS", count);
	notify_told_new(t->s);
	context_new(t->s);
	filter_job_news(&t->s->filter_job);
}

static void
tell_recent(void *arg, uint32_t count)
{
	struct telling *t = arg;

	if (!t->s->imap4rev2)
		reply_untagged(t->s, "%u RECENT", count);
}

static void write_flags(struct session *s, bool with_uid, uint32_t uid);

static void
tell_flags(void *arg, UNUSED uint32_t seq, uint32_t uid)
{
	struct telling *t = arg;

	tell_vanished(t->s);
	context_touch(t->s, uid);
	if ((t->what & SYNC_FLAGS) != 0)
		/* IMAP4rev2 has the UID in what was not asked for (RFC 9051
		 * section 7.5.2). */
		write_flags(t->s,
		    t->uid || t->s->imap4rev2 || notify_wants_uid(t->s), uid);
}

static void
tell_keywords(void *arg)
{
	struct telling *t = arg;

	sync_keywords(t->s);
}

static void
tell_gone(void *arg, const struct set32 *uids)
{
	struct telling *t = arg;

	context_gone(t->s, uids);
}

static const struct view_sink sink = {
    .gone = tell_gone,
    .expunge = tell_expunge,
    .exists = tell_exists,
    .recent = tell_recent,
    .flags = tell_flags,
    .keywords = tell_keywords,
};

/* The command's place in RFC 3501, and what NOTIFY has wished for. */
static unsigned
what_to_tell(const struct cmd *c)
{
	const struct command *def = c->def;
	unsigned what = SYNC_NEW | SYNC_FLAGS, wished;

	if ((def->flags & CMD_NO_EXPUNGE) == 0 || c->uid)
		what |= SYNC_EXPUNGE;
	if (habit_has(c->s, HABIT_DELAY_NEWMAIL) && def->fn != cmd_noop &&
	    def->fn != cmd_idle)
		what &= ~(unsigned)SYNC_NEW;
	/* NOTIFY itself tells all that has come together (section 3.1). */
	if (!notify_is_on(c->s) || def->fn == cmd_notify)
		return what;
	wished = notify_selected(c->s);
	/* The client's own doing. */
	if (def->fn == cmd_expunge || def->fn == cmd_move ||
	    def->fn == cmd_replace)
		wished |= SYNC_EXPUNGE;
	return what & wished;
}

enum step
sync_tell(struct cmd *c)
{
	metadata_tell(c->s);
	return sync_run(c->s, what_to_tell(c), c->uid);
}

enum step
sync_tell_arrivals(struct cmd *c)
{
	return sync_run(
	    c->s, what_to_tell(c) & ~(unsigned)SYNC_EXPUNGE, c->uid);
}

enum step
sync_run(struct session *s, unsigned what, bool uid)
{
	struct telling t = {s, what, uid};
	bool may_expunge = (what & SYNC_EXPUNGE) != 0;
	enum step step;
	struct err e;

	if (s->view == NULL || s->lost || what == 0)
		return STEP_DONE;
	/* A FETCH response that a context has begun is not interrupted. */
	if (context_is_within(s) && context_step(s) == STEP_MORE)
		return STEP_MORE;
	view_hold(s->view, (what & SYNC_NEW) == 0);
	step = view_sync(s->view, may_expunge, &sink, &t, &e);
	tell_vanished(s);
	/* Flags were told, perhaps, but not that messages are gone: the client
	 * must not think that it knows all (RFC 7162 section 3.2). */
	if (step == STEP_DONE && s->qresync && !may_expunge &&
	    view_keeps_back(s->view))
		modseq_tell_highest(s, view_told_modseq(s->view));
	if (step == STEP_DONE)
		return context_step(s);
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
	if (mailbox_keyword_count(view_mailbox(s->view)) == s->keywords_told &&
	    view_rights(s->view) == s->rights_told)
		return;
	sync_write_flag_names(s);
}

void
sync_write_flag_names(struct session *s)
{
	const struct mailbox *m = view_mailbox(s->view);
	uint8_t system;
	bool keywords;

	s->keywords_told = mailbox_keyword_count(m);
	s->rights_told = view_rights(s->view);
	keywords = view_keeps(s->view, &system);
	reply_begin(s);
	buf_add_c(&s->out, "FLAGS (");
	flags_write_names(&s->out, m, s->imap4rev2);
	buf_add_c(&s->out, ")");
	reply_end(s);
	reply_begin(s);
	buf_add_c(&s->out, "OK [PERMANENTFLAGS (");
	if (!s->read_only)
		flags_write_permanent(
		    &s->out, m, system, keywords, s->imap4rev2);
	buf_add_c(&s->out,
	    s->read_only ? ")] No flags can be changed"
			 : ")] Flags that are kept");
	reply_end(s);
}

void
sync_begin_fetch(struct session *s, uint32_t uid)
{
	/* For each message of a listing: not by printf. */
	buf_add_c(&s->out, "* ");
	buf_add_u64(&s->out, s->uid_only ? uid : view_seq(s->view, uid));
	buf_add_c(&s->out, s->uid_only ? " UIDFETCH (" : " FETCH (");
}

/*
 * RFC 3501 section 6.4.8: UID commands get the UID in any case. Who knows of
 * mod-sequences gets both (RFC 7162 section 3.2.4). UIDFETCH begins with it.
 */
static void
write_identity(struct session *s, bool with_uid, uint32_t uid)
{
	if ((with_uid || s->condstore) && !s->uid_only) {
		buf_add_c(&s->out, "UID ");
		buf_add_u64(&s->out, uid);
		buf_add_byte(&s->out, ' ');
	}
	if (!s->condstore)
		return;
	modseq_write(&s->out, s->view, uid);
	buf_add_byte(&s->out, ' ');
}

static void
write_flags(struct session *s, bool with_uid, uint32_t uid)
{
	struct flags f;

	if (!session_flags(s, uid, &f))
		return;
	sync_keywords(s);
	sync_begin_fetch(s, uid);
	write_identity(s, with_uid, uid);
	buf_add_c(&s->out, "FLAGS (");
	flags_write(&s->out, view_mailbox(s->view), &f);
	buf_add_c(&s->out, "))");
	reply_end(s);
}

void
sync_write_flags(struct cmd *c, uint32_t uid)
{
	write_flags(c->s, c->uid, uid);
}

void
sync_write_modseq(struct cmd *c, uint32_t uid)
{
	struct session *s = c->s;

	sync_begin_fetch(s, uid);
	if (!s->uid_only)
		buf_addf(&s->out, "UID %u ", uid);
	modseq_write(&s->out, s->view, uid);
	buf_add_byte(&s->out, ')');
	reply_end(s);
}
