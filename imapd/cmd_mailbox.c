/* SPDX-License-Identifier: ISC */
/*
 * cmd_mailbox.c - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; the store judges names.
 * Spec:    RFC 3501 sections 6.3.3 to 6.3.7, RFC 5530; RFC 8474
 *          section 4.1; RFC 6154 section 3 (CREATE ... USE); RFC 9051 sections 6.3.4 to 6.3.6 (OLDNAME where a name
 *          was brought to Normalisation Form C), 7.1 (HASCHILDREN).
 */
#include "base/bounds.h"
#include "base/log.h"
#include "imapd/commands.h"
#include "imapd/name.h"
#include "imapd/name_told.h"
#include "imapd/notify.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "store/meta.h"

/*
 * The command's arguments, `n` names and nothing else, also in the form in which
 * they came. False: answered.
 */
static bool
names_parse_wire(struct cmd *c, size_t n, struct str *names, struct str *wire)
{
	const struct imap_arg *a = c->args;
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
names_parse(struct cmd *c, size_t n, struct str *names)
{
	struct str wire[2];

	return names_parse_wire(c, n, names, wire);
}

/* False: answered. */
static bool
new_name_check(struct cmd *c, struct str name)
{
	if (name_is_new_form(name))
		return true;
	(void)reply_no(c, "CANNOT", "Control characters are not for names");
	return false;
}

static bool
is_inbox(struct str name)
{
	return str_eq(name, STR("INBOX"));
}

struct creating {
	struct str name, wire;
	struct status_job *status;
	/* RFC 6154 section 3 */
	struct str uses; /* "\\Sent \\Drafts"; p NULL: not asked for */
	struct meta_job giving;
	bool is_made, is_given, is_refused;
	struct err why;
	unsigned phase; /* of taking it back */
};

/* "(USE (\Sent))"; false: answered. */
static bool
create_params_parse(
    struct cmd *c, const struct imap_arg *a, struct creating *cr)
{
	const struct imap_arg *uses;
	struct str word;
	unsigned bits;
	struct buf b;
	bool ok = imap_arg_word(&a, "USE") && imap_arg_list(&a, &uses) &&
	    imap_arg_end(a);

	if (!ok) {
		(void)reply_bad(c, "USE with a list of attributes expected");
		return false;
	}
	buf_init(&b, IMAP_LINE_MAX);
	while (imap_arg_atom(&uses, &word))
		buf_addf(&b, "%s%.*s", b.n > 0 ? " " : "", STR_ARG(word));
	cr->uses = arena_str(c->arena, buf_str(&b));
	buf_done(&b);
	if (!imap_arg_end(uses))
		(void)reply_bad(c, "Attributes expected");
	else if (!meta_uses_parse(cr->uses, &bits))
		(void)reply_no(c, "USEATTR", "No such special use here");
	else
		return true;
	return false;
}

/*
 * The mailbox is there; it gets its uses, or it goes again: without them it must
 * not be made.
 */
static enum step
give_uses(struct cmd *c, struct creating *cr)
{
	const struct meta_entry use = {
	    .name = STR("/private/specialuse"), .value = cr->uses};
	enum step step = STEP_DONE;
	struct err e;

	if (cr->uses.n == 0 || cr->is_given)
		return STEP_DONE;
	if (!cr->is_refused) {
		step = meta_change(
		    c->s->store, &cr->giving, cr->name, &use, c->s, &cr->why);
		cr->is_given = step == STEP_DONE;
		cr->is_refused = step == STEP_FAIL;
		if (step != STEP_FAIL)
			return step;
	}
	do
		step = store_delete(c->s->store, cr->name, &cr->phase, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_DONE)
		notify_own_delete(c->s, cr->name);
	return step == STEP_MORE ? STEP_MORE : STEP_FAIL;
}

static void
create_done(struct cmd *c)
{
	struct creating *cr = c->state;

	status_job_free(&cr->status);
}

/* The name, and what more is wanted. False: answered. */
static bool
create_parse(struct cmd *c, struct creating *cr)
{
	const struct imap_arg *a = c->args, *all = a, *params = NULL;
	struct imap_arg alone[2];
	struct str text;
	bool ok;

	/* The name is judged first, without what stands behind it. */
	if (imap_arg_astring(&a, &text) && imap_arg_list(&a, &params)) {
		alone[0] = c->args[0];
		alone[1] = (struct imap_arg){.type = IMAP_ARG_END};
		if (!imap_arg_end(a)) {
			(void)reply_bad(c, "No more arguments expected");
			return false;
		}
		c->args = alone;
	}
	ok = names_parse_wire(c, 1, &cr->name, &cr->wire);
	c->args = all;
	if (!ok)
		return false;
	return params == NULL || create_params_parse(c, params, cr);
}

/* False: answered. */
static bool
create_begin(struct cmd *c)
{
	struct creating *cr = arena_new(c->arena, 1, sizeof(*cr));

	if (!create_parse(c, cr) || !new_name_check(c, cr->name))
		return false;
	if (is_inbox(cr->name)) {
		(void)reply_no(c, "ALREADYEXISTS", "INBOX exists always");
		return false;
	}
	c->state = cr;
	c->cleanup = create_done;
	return true;
}

/* STEP_FAIL: answered. */
static enum step
make(struct cmd *c, struct creating *cr)
{
	struct err e;

	if (cr->is_made)
		return STEP_DONE;
	while (store_count_mailboxes(c->s->store) == STEP_MORE)
		if (cmd_time_is_up(c))
			return STEP_MORE;
	if (store_create(c->s->store, cr->name, &e) == -1) {
		(void)reply_err(c, &e);
		return STEP_FAIL;
	}
	cr->is_made = true;
	notify_own_create(c->s, cr->name);
	return STEP_DONE;
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
	step = make(c, cr);
	if (step != STEP_DONE)
		return step == STEP_MORE ? STEP_MORE : STEP_DONE;
	step = give_uses(c, cr);
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return cr->why.code == ERR_UNSUPPORTED
		    ? reply_no(c, "USEATTR", "Not for this mailbox")
		    : reply_err(c, &cr->why);
	do
		step = store_status(
		    c->s->store, cr->name, false, &cr->status, &st, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (name_told_is_other(c, cr->name, cr->wire))
		name_told_write(c->s, NULL, cr->name, cr->wire);
	/* A level alone has none. */
	if (step == STEP_FAIL || st.mailbox_id[0] == '\0')
		return reply_ok(c, NULL, "Created");
	return reply_ok(c,
	    arena_printf(c->arena, "MAILBOXID (%s)", st.mailbox_id).p,
	    "Created");
}

struct deleting {
	struct str name, wire;
	unsigned phase;
	bool is_missing; /* no mailbox, perhaps a level above some */
	struct name_told told;
};

static void
delete_done(struct cmd *c)
{
	struct deleting *d = c->state;

	name_told_done(&d->told);
}

/* \NonExistent, under the name that it had. */
static void
tell_gone(struct cmd *c, struct str name, struct str wire)
{
	struct mbox_entry gone = {
	    .name = name,
	    .attrs = MBOX_NONEXISTENT,
	    .delimiter = store_delimiter_of(c->s->store, name),
	};

	name_told_write(c->s, &gone, name, wire);
}

/* There is no such mailbox, but there may be some below the name. */
static enum step
tell_missing(struct cmd *c, struct deleting *d, struct str name)
{
	const struct mbox_entry *entry;

	d->is_missing = true;
	if (name_told_find(c, &d->told, name, &entry) == STEP_MORE)
		return STEP_MORE;
	return entry != NULL && (entry->attrs & MBOX_HAS_CHILDREN) != 0
	    ? reply_no(c, "HASCHILDREN", "There are mailboxes below it")
	    : reply_no(c, "NONEXISTENT", "No such mailbox");
}

/* False: answered. */
static bool
delete_begin(struct cmd *c)
{
	struct deleting *d = arena_new(c->arena, 1, sizeof(*d));

	if (!names_parse_wire(c, 1, &d->name, &d->wire))
		return false;
	if (is_inbox(d->name)) {
		(void)reply_no(c, "CANNOT", "INBOX can not be deleted");
		return false;
	}
	c->state = d;
	c->cleanup = delete_done;
	return true;
}

enum step
cmd_delete(struct cmd *c)
{
	struct session *s = c->s;
	struct deleting *d;
	enum step step;
	struct str name;
	struct err e;

	if (c->state == NULL && !delete_begin(c))
		return STEP_DONE;
	d = c->state;
	name = d->name;
	if (d->is_missing)
		return tell_missing(c, d, name);
	do
		step = store_delete(s->store, name, &d->phase, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL && e.code == ERR_NOT_FOUND)
		return tell_missing(c, d, name);
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	/* Whoever deletes what he has selected has selected nothing then; not
	 * so where it could not be deleted. */
	if (s->view != NULL && str_eq(name, session_mailbox(s)))
		session_unselect(s);
	notify_own_delete(s, name);
	if (name_told_is_other(c, name, d->wire))
		tell_gone(c, name, d->wire);
	log_info(
	    "mailbox deleted user=<%s> mailbox=<%.*s>", s->user, STR_ARG(name));
	return reply_ok(c, NULL, "Deleted");
}

struct renaming {
	struct str names[2], wire[2];
	struct rename_job *job;
};

static void
rename_done(struct cmd *c)
{
	struct renaming *r = c->state;

	rename_job_free(&r->job);
}

/* False: answered. */
static bool
rename_begin(struct cmd *c)
{
	struct renaming *r = arena_new(c->arena, 1, sizeof(*r));

	if (!names_parse_wire(c, 2, r->names, r->wire) ||
	    !new_name_check(c, r->names[1]))
		return false;
	if (is_inbox(r->names[1])) {
		(void)reply_no(c, "ALREADYEXISTS", "INBOX exists always");
		return false;
	}
	c->state = r;
	c->cleanup = rename_done;
	return true;
}

enum step
cmd_rename(struct cmd *c)
{
	struct session *s = c->s;
	struct renaming *r;
	struct str *names;
	enum step step;
	struct err e;

	if (c->state == NULL && !rename_begin(c))
		return STEP_DONE;
	r = c->state;
	names = r->names;
	do
		step = store_rename(s->store, names[0], names[1], &r->job, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return reply_err(c, &e);
	notify_own_rename(s, names[0], names[1]);
	if (name_told_is_other(c, names[0], r->wire[0]) ||
	    name_told_is_other(c, names[1], r->wire[1]))
		name_told_write(s, NULL, names[1], r->wire[0]);
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
	notify_own_subscribe(c->s, name, on);
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
