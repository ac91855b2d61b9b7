/* SPDX-License-Identifier: ISC */
/*
 * cmd_mailbox.c - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; the store judges names.
 * Spec:    RFC 3501 sections 6.3.3 to 6.3.7, RFC 5530; RFC 8474
 *          section 4.1.
 */
#include "base/log.h"
#include "imapd/commands.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "imapd/session.h"

/* The command's arguments, `n` names and nothing else. False: answered. */
static bool
names_parse(struct cmd *c, size_t n, struct str *names)
{
	const struct imap_arg *a = c->args;
	struct str wire[2];
	struct err e;
	size_t i;

	for (i = 0; i < n; i++)
		if (!imap_arg_astring(&a, &wire[i]))
			break;
	if (i < n || !imap_arg_end(a)) {
		(void)reply_bad(c,
		    n == 1 ? "Mailbox name expected"
			   : "Two mailbox names expected");
		return false;
	}
	for (i = 0; i < n; i++) {
		if (name_decode(c->s, c->arena, wire[i], &names[i], &e) == 0)
			continue;
		(void)reply_err(c, &e);
		return false;
	}
	return true;
}

static bool
is_inbox(struct str name)
{
	return str_eq(name, STR("INBOX"));
}

struct creating {
	struct str name;
	struct status_job *status;
};

static void
create_done(struct cmd *c)
{
	struct creating *cr = c->state;

	status_job_free(&cr->status);
}

/* False: answered. */
static bool
create_begin(struct cmd *c)
{
	struct creating *cr = arena_new(c->arena, 1, sizeof(*cr));
	struct err e;

	if (!names_parse(c, 1, &cr->name))
		return false;
	if (is_inbox(cr->name)) {
		(void)reply_no(c, "ALREADYEXISTS", "INBOX exists always");
		return false;
	}
	if (store_create(c->s->store, cr->name, &e) == -1) {
		(void)reply_err(c, &e);
		return false;
	}
	c->state = cr;
	c->cleanup = create_done;
	return true;
}

/* Made; who knows of identifiers is told the new one (RFC 8474 section 4.1). */
enum step
cmd_create(struct cmd *c)
{
	struct mailbox_status st = {0};
	struct creating *cr;
	enum step step;
	struct err e;

	if (c->state == NULL && !create_begin(c))
		return STEP_DONE;
	cr = c->state;
	do
		step = store_status(
		    c->s->store, cr->name, false, &cr->status, &st, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	/* A level alone has none. */
	if (step == STEP_FAIL || st.mailbox_id[0] == '\0')
		return reply_ok(c, NULL, "Created");
	return reply_ok(c,
	    arena_printf(c->arena, "MAILBOXID (%s)", st.mailbox_id).p,
	    "Created");
}

enum step
cmd_delete(struct cmd *c)
{
	struct session *s = c->s;
	unsigned *phase = c->state;
	enum step step;
	struct str name;
	struct err e;

	if (!names_parse(c, 1, &name))
		return STEP_DONE;
	if (is_inbox(name))
		return reply_no(c, "CANNOT", "INBOX can not be deleted");
	if (phase == NULL)
		phase = c->state = arena_new(c->arena, 1, sizeof(*phase));
	/* Whoever deletes what he has selected has selected nothing then. */
	if (s->view != NULL && str_eq(name, session_mailbox(s)))
		session_unselect(s);
	do
		step = store_delete(s->store, name, phase, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	log_info(
	    "mailbox deleted user=<%s> mailbox=<%.*s>", s->user, STR_ARG(name));
	return reply_ok(c, NULL, "Deleted");
}

struct renaming {
	struct rename_job *job;
};

static void
rename_done(struct cmd *c)
{
	struct renaming *r = c->state;

	rename_job_free(&r->job);
}

enum step
cmd_rename(struct cmd *c)
{
	struct session *s = c->s;
	struct renaming *r = c->state;
	struct str names[2];
	enum step step;
	struct err e;

	if (!names_parse(c, 2, names))
		return STEP_DONE;
	if (is_inbox(names[1]))
		return reply_no(c, "ALREADYEXISTS", "INBOX exists always");
	if (r == NULL)
		r = c->state = arena_new(c->arena, 1, sizeof(*r));
	c->cleanup = rename_done;
	do
		step = store_rename(s->store, names[0], names[1], &r->job, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	log_info("mailbox renamed user=<%s> from=<%.*s> to=<%.*s>", s->user,
	    STR_ARG(names[0]), STR_ARG(names[1]));
	return reply_ok(c, NULL, "Renamed");
}

/* Names need not exist (RFC 3501 section 6.3.6: MAY validate). */
static enum step
subscribe(struct cmd *c, bool on)
{
	struct str name;
	enum step step;
	struct err e;

	if (!names_parse(c, 1, &name))
		return STEP_DONE;
	step = store_subscribe(c->s->store, name, on, &e);
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	return reply_ok(c, NULL, on ? "Subscribed" : "Unsubscribed");
}

enum step
cmd_subscribe(struct cmd *c)
{
	return subscribe(c, true);
}

enum step
cmd_unsubscribe(struct cmd *c)
{
	return subscribe(c, false);
}
