/* SPDX-License-Identifier: ISC */
/*
 * cmd_acl.c - SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 4314. Identifiers are not prepared by SASLprep but refused when
 *          it would change or forbid them (they are not in NFKC, or have control
 *          characters): names of accounts have neither.
 */
#include <stdlib.h>
#include <uninorm.h>

#include "base/log.h"
#include "imap/imap_write.h"
#include "imapd/acl_write.h"
#include "imapd/commands.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "store/share.h"
#include "text/utf8.h"

/* ---- arguments ------------------------------------------------------------- */

static bool
is_normal(struct str s)
{
	size_t n = 0;
	uint8_t *norm;
	bool ok;

	if (utf8_ascii_length(s) == s.n)
		return true;
	if (!utf8_is_valid(s))
		return false;
	norm = u8_normalize(UNINORM_NFKC, (const uint8_t *)s.p, s.n, NULL, &n);
	ok = norm != NULL && str_eq(s, str_make(norm, n));
	free(norm);
	return ok;
}

static const char *
id_arg(const struct imap_arg **a, struct str *wire, struct acl_id *id)
{
	if (!imap_arg_astring(a, wire))
		return "Identifier expected";
	return is_normal(*wire) && acl_id_parse(*wire, id)
	    ? NULL
	    : "Not an identifier";
}

/* [+-]rights */
static const char *
change_arg(const struct imap_arg **a, struct acl_change *c)
{
	struct str s;

	if (!imap_arg_astring(a, &s))
		return "Rights expected";
	c->op = ACL_REPLACE;
	if (str_starts(s, STR("+")))
		c->op = ACL_ADD;
	else if (str_starts(s, STR("-")))
		c->op = ACL_TAKE;
	if (c->op != ACL_REPLACE)
		s = str_skip(s, 1);
	return acl_rights_parse(s, &c->rights)
	    ? NULL
	    : "Rights are of the letters lrswipkxteacd";
}

struct acl_args {
	struct str name, wire_id;
	struct acl_change change; /* with the identifier */
};

enum { WITH_ID = 1, WITH_RIGHTS = 2 };

/* False: answered. */
static bool
args_parse(struct cmd *c, unsigned with, struct acl_args *out)
{
	const struct imap_arg *a = c->args;
	const char *why = NULL;
	struct str wire;
	struct err e;

	*out = (struct acl_args){0};
	if (!imap_arg_astring(&a, &wire))
		why = "Mailbox name expected";
	if (why == NULL && (with & WITH_ID) != 0)
		why = id_arg(&a, &out->wire_id, &out->change.id);
	if (why == NULL && (with & WITH_RIGHTS) != 0)
		why = change_arg(&a, &out->change);
	if (why == NULL && !imap_arg_end(a))
		why = "No more arguments expected";
	if (why != NULL) {
		(void)reply_bad(c, why);
		return false;
	}
	if (name_decode(c->s, c->arena, wire, &out->name, &e) == 0)
		return true;
	(void)reply_err(c, &e);
	return false;
}

/* ---- SETACL, DELETEACL ----------------------------------------------------- */

struct changing {
	struct acl_args args;
	struct share_job *job;
};

static void
changing_done(struct cmd *c)
{
	struct changing *ch = c->state;

	share_job_free(&ch->job);
}

static enum step
refused(struct cmd *c, const struct err *e)
{
	/* These are sentences for the client. */
	if (e->code == ERR_UNSUPPORTED)
		return reply_no(c, "CANNOT", e->text);
	return reply_err(c, e);
}

static void
tell_result(struct cmd *c, const struct share_result *r)
{
	struct buf b;

	if (r->left_out != 0) {
		buf_init(&b, 64);
		acl_rights_write(&b, ACL_TIED);
		reply_untagged(c->s,
		    "OK Of %.*s all or none can be given: now none",
		    STR_ARG(buf_str(&b)));
		buf_done(&b);
	}
	if (r->note[0] == '\0')
		return;
	reply_begin(c->s);
	buf_add_c(&c->s->out, "OK [ALERT] ");
	imap_write_text(&c->s->out, str_of(r->note));
	reply_end(c->s);
}

static enum step
change(struct cmd *c, unsigned with, const char *done)
{
	struct changing *ch = c->state;
	struct share_result result = {0};
	enum step step;
	struct buf b;
	struct err e;

	if (ch == NULL) {
		ch = arena_new(c->arena, 1, sizeof(*ch));
		if (!args_parse(c, with, &ch->args))
			return STEP_DONE;
		if ((with & WITH_RIGHTS) == 0)
			ch->args.change.op = ACL_DELETE;
		c->state = ch;
		c->cleanup = changing_done;
	}
	do
		step = store_acl_change(c->s->store, ch->args.name,
		    &ch->args.change, &ch->job, &result, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_MORE)
		return STEP_MORE;
	if (step == STEP_FAIL)
		return refused(c, &e);
	buf_init(&b, 64);
	acl_rights_write(&b, ch->args.change.rights);
	log_info("rights changed user=<%s> mailbox=<%.*s> identifier=<%.*s> "
		 "how=%s rights=%.*s",
	    c->s->user, STR_ARG(ch->args.name), STR_ARG(ch->args.wire_id),
	    ch->args.change.op == ACL_ADD          ? "add"
		: ch->args.change.op == ACL_TAKE   ? "take"
		: ch->args.change.op == ACL_DELETE ? "delete"
						   : "set",
	    STR_ARG(buf_str(&b)));
	buf_done(&b);
	tell_result(c, &result);
	return reply_ok(c, NULL, done);
}

enum step
cmd_setacl(struct cmd *c)
{
	return change(c, WITH_ID | WITH_RIGHTS, "Rights set");
}

enum step
cmd_deleteacl(struct cmd *c)
{
	return change(c, WITH_ID, "Rights removed");
}

/* ---- GETACL, LISTRIGHTS, MYRIGHTS ------------------------------------------ */

static void
write_pair(struct session *s, struct str id, unsigned rights)
{
	struct buf b;

	buf_init(&b, 64);
	acl_rights_write(&b, rights);
	buf_add_byte(&s->out, ' ');
	name_write_wire(s, &s->out, id);
	buf_add_byte(&s->out, ' ');
	imap_write_astring(&s->out, buf_str(&b));
	buf_done(&b);
}

/* The owner has all rights, whatever stands in the file. */
static bool
is_owner(const struct acl_id *id, struct str owner)
{
	return owner.n > 0 &&
	    (id->kind == ACL_OWNER ||
		(id->kind == ACL_USER && str_eq(id->name, owner)));
}

static void
write_acl(
    struct session *s, struct str name, const struct acl *l, struct str owner)
{
	struct buf id;

	reply_begin(s);
	buf_add_c(&s->out, "ACL ");
	name_write(s, &s->out, name);
	if (owner.n > 0)
		write_pair(s, owner, ACL_ALL);
	buf_init(&id, 1024);
	VEC_EACH(&l->v, it) {
		if (is_owner(&it->id, owner))
			continue;
		buf_clear(&id);
		acl_id_write(&id, &it->id);
		write_pair(s, buf_str(&id), it->rights);
	}
	buf_done(&id);
	reply_end(s);
}

enum step
cmd_getacl(struct cmd *c)
{
	struct acl_args args;
	struct str owner;
	enum step step;
	struct acl l;
	struct err e;

	if (!args_parse(c, 0, &args))
		return STEP_DONE;
	acl_init(&l);
	if (store_acl(c->s->store, args.name, &l, &owner, &e) == -1) {
		step = refused(c, &e);
	} else {
		write_acl(c->s, args.name, &l, owner);
		step = reply_ok(c, NULL, "Done");
	}
	acl_done(&l);
	return step;
}

static bool
is_single(unsigned rights)
{
	return (rights & (rights - 1)) == 0;
}

/* The letter of one right alone, or all of a set with its virtual one. */
static void
write_set(struct session *s, unsigned rights)
{
	struct buf b;

	buf_init(&b, 64);
	acl_rights_write(&b, rights);
	imap_write_astring(&s->out,
	    is_single(rights) ? str_head(buf_str(&b), 1) : buf_str(&b));
	buf_done(&b);
}

/*
 * "c" and "d" stand by themselves when their members do, else with them (RFC 4314
 * section 2.1.1).
 */
static void
write_sets(struct session *s, const struct acl_sets *sets)
{
	unsigned singles = 0;

	for (size_t i = 0; i < sets->n; i++) {
		buf_add_byte(&s->out, ' ');
		write_set(s, sets->v[i]);
		if (is_single(sets->v[i]))
			singles |= sets->v[i];
	}
	if ((singles & (ACL_CREATE | ACL_REMOVE)) != 0)
		buf_add_c(&s->out, " c");
	if ((singles & (ACL_DELETED | ACL_EXPUNGE)) != 0)
		buf_add_c(&s->out, " d");
}

enum step
cmd_listrights(struct cmd *c)
{
	struct acl_args args;
	struct acl_sets sets;
	struct session *s = c->s;
	struct buf b;
	struct err e;

	if (!args_parse(c, WITH_ID, &args))
		return STEP_DONE;
	if (store_acl_sets(s->store, args.name, &args.change.id, &sets, &e) ==
	    -1)
		return refused(c, &e);
	buf_init(&b, 64);
	acl_rights_write(&b, sets.required);
	reply_begin(s);
	buf_add_c(&s->out, "LISTRIGHTS ");
	name_write(s, &s->out, args.name);
	buf_add_byte(&s->out, ' ');
	name_write_wire(s, &s->out, args.wire_id);
	buf_add_byte(&s->out, ' ');
	imap_write_astring(&s->out, buf_str(&b));
	write_sets(s, &sets);
	reply_end(s);
	buf_done(&b);
	return reply_ok(c, NULL, "Done");
}

void
acl_write_my_rights(struct session *s, struct str name, unsigned rights)
{
	struct buf b;

	buf_init(&b, 64);
	acl_rights_write(&b, rights);
	reply_begin(s);
	buf_add_c(&s->out, "MYRIGHTS ");
	name_write(s, &s->out, name);
	buf_add_byte(&s->out, ' ');
	imap_write_astring(&s->out, buf_str(&b));
	reply_end(s);
	buf_done(&b);
}

enum step
cmd_myrights(struct cmd *c)
{
	struct acl_args args;
	unsigned rights;
	struct err e;

	if (!args_parse(c, 0, &args))
		return STEP_DONE;
	if (store_my_rights(c->s->store, args.name, &rights, &e) == -1)
		return refused(c, &e);
	acl_write_my_rights(c->s, args.name, rights);
	return reply_ok(c, NULL, "Done");
}
