/* SPDX-License-Identifier: ISC */
/*
 * msg_uidl.c - POP3's unique ids, the same as the server before us gave.
 *
 * Owns:    nothing.
 * Runs in: pop3d, as the mail user.
 * Trusts:  the format (the administrator's); no stored id that RFC 1939 does
 *          not allow.
 * Spec:    formats.md section 5; RFC 1939 section 7.
 *
 * An id that a server with the default form would not give is written down
 * (Maildir: the P field) when it is first made, so that it stays.
 */
#include "base/buf.h"
#include "mime/header.h"
#include "mime/header_hash.h"
#include "store/msg_impl.h"
#include "text/uidl_format.h"

#define XUIDL "xuidl:"

/* The X-UIDL field of the message, if it has one that can be used. */
static bool
find_xuidl(struct msg *m, struct arena *a, struct str *out)
{
	struct header_field f;
	struct str block;
	struct err e;

	if (msg_header(m, &block, &e) == -1 ||
	    !header_find(block, STR("X-UIDL"), &f))
		return false;
	*out = arena_str(a, str_trim(f.value));
	return uidl_is_valid(*out);
}

/* The hash of its header, in `a`. */
static int
hash_header(struct msg *m, struct arena *a, struct str *out, struct err *e)
{
	char hex[2 * MD5_BYTES + 1];
	struct str block;

	if (msg_header(m, &block, e) == -1)
		return -1;
	header_hash_hex(block, hex);
	*out = arena_str(a, str_of(hex));
	return 0;
}

static int
make_uidl(struct msg *m, const struct msg_facts *facts, struct str format,
    struct arena *a, struct buf *out, struct err *e)
{
	struct uidl_values v = {
	    .uid = m->uid,
	    .uidvalidity = m->mailbox->uidvalidity,
	    .base = facts->base,
	    .guid = facts->guid,
	};
	bool wants_md5;

	if (uidl_format_check(format, &wants_md5, e) == -1)
		return -1;
	if (wants_md5) {
		/* Reading the header may move the names. */
		v.base = arena_str(a, v.base);
		v.guid = arena_str(a, v.guid);
		if (hash_header(m, a, &v.header_md5, e) == -1)
			return -1;
	}
	return uidl_format_write(format, &v, out, e);
}

/*
 * A server with the default form would make another id of the message: the
 * backend keeps this one, if it can.
 */
static void
keep(struct msg *m, struct str uidl, struct str usual)
{
	const struct store_ops *ops = m->mailbox->store->ops;

	if (ops->note_uidl != NULL && !str_eq(uidl, usual))
		ops->note_uidl(m->mailbox, m->uid, uidl);
}

int
msg_pop3_uidl(struct msg *m, const char *format, struct arena *a,
    struct str *uidl, uint32_t *order, struct err *e)
{
	struct str f = str_of(format);
	bool use_xuidl = str_starts(f, STR(XUIDL)), found = false;
	const struct store_ops *ops = m->mailbox->store->ops;
	struct msg_facts facts;
	struct buf b, usual;
	int rc = -1;

	if (!ops->msg_facts(m->mailbox, m->uid, &facts))
		return err_set(e, ERR_GONE, "message %u is gone", m->uid);
	*order = facts.pop3_order;
	if (uidl_is_valid(facts.uidl)) {
		*uidl = arena_str(a, facts.uidl);
		return 0;
	}
	buf_init(&b, 1024);
	buf_init(&usual, 1024);
	if (make_uidl(m, &facts, STR(UIDL_FORMAT_DEFAULT), a, &usual, e) == -1)
		goto out;
	if (ops->own_uidl != NULL &&
	    ops->own_uidl(m->mailbox, m->uid, &b, e) == -1)
		goto out;
	if (b.n > 0) {
		f = STR("");
		use_xuidl = false;
	}
	if (use_xuidl) {
		found = find_xuidl(m, a, uidl);
		/* Reading may have moved the names. */
		if (!found && !ops->msg_facts(m->mailbox, m->uid, &facts)) {
			(void)err_set(
			    e, ERR_GONE, "message %u is gone", m->uid);
			goto out;
		}
		f = str_skip(f, sizeof(XUIDL) - 1);
	}
	if (!found && f.n > 0 && make_uidl(m, &facts, f, a, &b, e) == -1)
		goto out;
	/* Too long, or with bytes that POP3 does not allow: the usual one. */
	if (!found)
		*uidl = arena_str(a,
		    !buf_is_over(&b) && uidl_is_valid(buf_str(&b))
			? buf_str(&b)
			: buf_str(&usual));
	keep(m, *uidl, buf_str(&usual));
	rc = 0;
out:
	buf_done(&b);
	buf_done(&usual);
	return rc;
}
