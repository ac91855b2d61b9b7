/* SPDX-License-Identifier: ISC */
/*
 * cmd_select.c - SELECT, EXAMINE, CLOSE, UNSELECT.
 *
 * Owns:    the change between the states of session.h.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 sections 6.3.1, 6.3.2, 6.4.2, 7.1; RFC 3691 (UNSELECT);
 *          RFC 7162 sections 3.1.2, 3.1.8, 3.2.5, 3.2.11;
 *          RFC 8474 section 4.2; RFC 9586 section 3.7; RFC 9051 section
 *          6.3.2 (LIST, CLOSED; no RECENT, no UNSEEN).
 */
#include "imapd/commands.h"
#include "imapd/modseq.h"
#include "imapd/name.h"
#include "imapd/name_told.h"
#include "imapd/reply.h"
#include "imapd/resync.h"
#include "imapd/select_param.h"
#include "imapd/session.h"
#include "imapd/sync.h"
#include "store/acl.h"
#include "store/object.h"
#include "store/view_modseq.h"

static void
write_selected(struct session *s)
{
	struct mailbox *m = view_mailbox(s->view);
	uint32_t unseen = view_first_unseen(s->view);
	char id[OBJECT_ID_MAX];

	sync_write_flag_names(s);
	reply_untagged(s, "%u EXISTS", view_count(s->view));
	if (!s->imap4rev2)
		reply_untagged(s, "%u RECENT", view_recent(s->view));
	if (unseen != 0 && !s->uid_only && !s->imap4rev2)
		reply_untagged(s, "OK [UNSEEN %u] First unseen", unseen);
	reply_untagged(
	    s, "OK [UIDVALIDITY %u] UIDs valid", mailbox_uidvalidity(m));
	reply_untagged(
	    s, "OK [UIDNEXT %u] Predicted next UID", mailbox_uidnext(m));
	modseq_tell_highest(s, view_highest_modseq(s->view));
	mailbox_object_id(m, id);
	reply_untagged(s, "OK [MAILBOXID (%s)] Its identifier", id);
}

struct opening {
	struct str name, wire;
	struct view *view; /* until it is the session's */
	struct select_param param;
	struct resync resync;
	bool is_selected, is_told;
	struct name_told told;
};

static void
opening_done(struct cmd *c)
{
	struct opening *o = c->state;

	view_close(&o->view);
	select_param_done(&o->param);
	resync_done(&o->resync);
	name_told_done(&o->told);
}

/* False: answered. */
static bool
opening_begin(struct cmd *c)
{
	struct session *s = c->s;
	const struct imap_arg *a = c->args;
	struct opening *o = arena_new(c->arena, 1, sizeof(*o));
	struct err e;

	c->state = o;
	c->cleanup = opening_done;
	if (!imap_arg_astring(&a, &o->wire) ||
	    !select_param_parse(&a, &o->param) || !imap_arg_end(a)) {
		(void)reply_bad(c, "Mailbox name expected, and parameters");
		return false;
	}
	if (o->param.qresync && !s->qresync) {
		(void)reply_bad(c, "ENABLE QRESYNC comes first");
		return false;
	}
	if (o->param.has_match && s->uid_only) {
		(void)reply_uid_required(c);
		return false;
	}
	/* From here on nothing is selected, whatever follows. */
	if (s->view != NULL)
		reply_untagged(s, "OK [CLOSED] Previous mailbox closed");
	session_unselect(s);
	if (o->param.condstore)
		modseq_enable(s);
	if (name_decode(s, c->arena, o->wire, &o->name, &e) == 0)
		return true;
	(void)reply_err(c, &e);
	return false;
}

/* STEP_DONE: selected. */
static enum step
open_view(struct cmd *c, bool read_only, struct err *e)
{
	struct session *s = c->s;
	struct opening *o = c->state;
	enum step step;

	do
		step = view_open(s->store, o->name, read_only, &o->view, e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step != STEP_DONE)
		return step;
	session_select(s, o->view);
	o->view = NULL;
	o->is_selected = true;
	if (read_only)
		s->read_only = true;
	write_selected(s);
	return STEP_DONE;
}

/* IMAP4rev2: the name as it is, with what it is for and has below it. */
static enum step
tell_name(struct cmd *c, struct opening *o)
{
	const struct mbox_entry *entry;

	if (!c->s->imap4rev2 || o->is_told)
		return STEP_DONE;
	if (name_told_find(c, &o->told, o->name, &entry) == STEP_MORE)
		return STEP_MORE;
	name_told_write(c->s, entry, o->name, o->wire);
	o->is_told = true;
	return STEP_DONE;
}

static enum step
select_mailbox(struct cmd *c, bool read_only)
{
	struct opening *o;
	enum step step = STEP_DONE;
	struct err e;

	if (c->state == NULL && !opening_begin(c))
		return STEP_DONE;
	o = c->state;
	if (!o->is_selected)
		step = open_view(c, read_only, &e);
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	if (step == STEP_DONE)
		step = tell_name(c, o);
	if (step == STEP_DONE && o->param.qresync)
		step = resync_step(c, &o->param, &o->resync);
	if (step == STEP_MORE)
		return STEP_MORE;
	return !view_is_read_write(c->s->view)
	    ? reply_ok(c, "READ-ONLY", "Selected")
	    : reply_ok(c, "READ-WRITE", "Selected");
}

enum step
cmd_select(struct cmd *c)
{
	return select_mailbox(c, false);
}

enum step
cmd_examine(struct cmd *c)
{
	return select_mailbox(c, true);
}

enum step
cmd_unselect(struct cmd *c)
{
	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	session_unselect(c->s);
	return reply_ok(c, NULL, "Unselected");
}

/* Expunges without telling; a mailbox that is only read stays as it is. */
enum step
cmd_close(struct cmd *c)
{
	struct session *s = c->s;
	enum step step;
	struct err e;
	uint32_t *at = c->state;

	if (!imap_arg_end(c->args))
		return reply_bad(c, "No arguments expected");
	if (at == NULL)
		at = c->state = arena_new(c->arena, 1, sizeof(*at));
	/* Nor is it said that something was left (RFC 4314 section 4). */
	step = !view_may_change(s->view) ||
		(view_rights(s->view) & ACL_EXPUNGE) == 0
	    ? STEP_DONE
	    : view_expunge(s->view, NULL, at, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c))
		step = view_expunge(s->view, NULL, at, &e);
	if (step == STEP_MORE)
		return STEP_MORE;
	session_unselect(s);
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	return reply_ok(c, NULL, "Closed");
}
