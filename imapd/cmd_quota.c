/* SPDX-License-Identifier: ISC */
/*
 * cmd_quota.c - GETQUOTA, GETQUOTAROOT, SETQUOTA.
 *
 * Owns:    nothing.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 9208 (RFC 2087 before it). Every mailbox of the user's own is
 *          covered by the same roots, those of others by none that he is told;
 *          limits are set by the administrator alone.
 */
#include "imap/imap_write.h"
#include "imapd/commands.h"
#include "imapd/name.h"
#include "imapd/reply.h"
#include "imapd/session.h"
#include "store/quota.h"

#define STORAGE_UNIT 1024

static const char *
write_resource(struct buf *b, const char *before, const char *name,
    uint64_t used, uint64_t limit)
{
	if (limit == 0)
		return before;
	buf_addf(b, "%s%s %llu %llu", before, name, (unsigned long long)used,
	    (unsigned long long)limit);
	return " ";
}

/* "* QUOTA "User quota" (STORAGE 10 512 MESSAGE 3 1000)" */
static void
write_quota(struct session *s, const struct quota_root *r)
{
	const char *before = "";

	reply_begin(s);
	buf_add_c(&s->out, "QUOTA ");
	imap_write_astring(&s->out, str_of(r->name));
	buf_add_c(&s->out, " (");
	before = write_resource(&s->out, before, "STORAGE",
	    (r->bytes + STORAGE_UNIT - 1) / STORAGE_UNIT,
	    r->bytes_max / STORAGE_UNIT);
	before =
	    write_resource(&s->out, before, "MESSAGE", r->count, r->count_max);
	(void)write_resource(
	    &s->out, before, "MAILBOX", r->mailboxes, r->mailboxes_max);
	buf_add_byte(&s->out, ')');
	reply_end(s);
}

/* STEP_DONE: `roots` are there; STEP_FAIL: the command has been answered. */
static enum step
get_roots(struct cmd *c, struct quota_root roots[QUOTA_ROOTS], size_t *n)
{
	enum step step;
	struct err e;

	do
		step = store_quota(c->s->store, roots, n, &e);
	while (step == STEP_MORE && !cmd_time_is_up(c));
	if (step == STEP_FAIL)
		(void)reply_err(c, &e);
	return step;
}

enum step
cmd_getquota(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct quota_root roots[QUOTA_ROOTS];
	struct str name;
	size_t n;
	enum step step;

	if (!imap_arg_astring(&a, &name) || !imap_arg_end(a))
		return reply_bad(c, "Quota root expected");
	step = get_roots(c, roots, &n);
	if (step != STEP_DONE)
		return step == STEP_MORE ? STEP_MORE : STEP_DONE;
	for (size_t i = 0; i < n; i++) {
		if (!str_eq(name, str_of(roots[i].name)))
			continue;
		write_quota(c->s, &roots[i]);
		return reply_ok(c, NULL, "Done");
	}
	return reply_no(c, "NONEXISTENT", "No such quota root");
}

/*
 * The mailbox need not exist (RFC 9208 section 4.1.2). Some clients ask for
 * the top, which is no mailbox, by an empty name.
 */
enum step
cmd_getquotaroot(struct cmd *c)
{
	const struct imap_arg *a = c->args;
	struct quota_root roots[QUOTA_ROOTS];
	struct str wire, name;
	size_t n;
	enum step step;
	struct err e;

	if (!imap_arg_astring(&a, &wire) || !imap_arg_end(a))
		return reply_bad(c, "Mailbox name expected");
	name = wire;
	if (wire.n > 0 && name_decode(c->s, c->arena, wire, &name, &e) == -1)
		return reply_err(c, &e);
	step = get_roots(c, roots, &n);
	if (step != STEP_DONE)
		return step == STEP_MORE ? STEP_MORE : STEP_DONE;
	if (!store_quota_covers(c->s->store, name))
		n = 0;
	reply_begin(c->s);
	buf_add_c(&c->s->out, "QUOTAROOT ");
	name_write(c->s, &c->s->out, name);
	for (size_t i = 0; i < n; i++) {
		buf_add_byte(&c->s->out, ' ');
		imap_write_astring(&c->s->out, str_of(roots[i].name));
	}
	reply_end(c->s);
	for (size_t i = 0; i < n; i++)
		write_quota(c->s, &roots[i]);
	return reply_ok(c, NULL, "Done");
}

enum step
cmd_setquota(struct cmd *c)
{
	const struct imap_arg *a = c->args, *list;
	struct str name;

	if (!imap_arg_astring(&a, &name) || !imap_arg_list(&a, &list) ||
	    !imap_arg_end(a))
		return reply_bad(c, "Quota root and limits expected");
	return reply_no(c, "NOPERM", "Limits are set by the administrator");
}
