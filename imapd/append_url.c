/* SPDX-License-Identifier: ISC */
/*
 * append_url.c - an URL to the bytes of a message.
 *
 * Owns:    a view of the mailbox and the open message, while it is read.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing in the URL: the store opens the mailbox as SELECT would, with
 *          the same rights.
 * Spec:    RFC 4469 section 3 (the selected mailbox and \Seen stay as they are),
 *          RFC 5092, RFC 5550 section 5.7.1 (URL-PARTIAL).
 *
 *	OPEN --view--> FIND --message, section--> READ --last byte--> done
 */
#include "imapd/append_url.h"

#include "imap/imap_url.h"
#include "imapd/fetch_plan.h"
#include "imapd/fetch_section.h"
#include "imapd/fetch_stream.h"
#include "imapd/name.h"
#include "imapd/session.h"
#include "os/lock.h"

#define READ_BYTES (64 * 1024)

struct append_url {
	struct session *s;
	struct arena *arena;
	struct imap_url url;
	struct fetch_section section;
	struct str name;
	struct view *view;
	bool is_open; /* the view */
	struct msg *msg;
	bool is_found; /* `value` is set */
	struct section_value value;
	uint64_t at; /* of its stored bytes */
	bool after_cr;
	uint64_t skip, left; /* wire bytes */
};

/* ---- the URL ------------------------------------------------------------------ */

/* By the name that this host has, with or without its domain. */
static bool
is_this_host(struct str host)
{
	struct str own = str_of(dotlock_host());

	if (str_eq_nocase(host, own) || str_eq_nocase(host, STR("localhost")))
		return true;
	return str_eq_nocase(str_head(host, str_find(host, '.')), own);
}

static bool
is_ours(const struct session *s, const struct imap_url *url)
{
	return !url->has_server ||
	    (is_this_host(url->host) &&
		(url->user.p == NULL || str_eq(url->user, str_of(s->user))));
}

int
append_url_open(
    struct cmd *c, struct str text, struct append_url **out, struct err *e)
{
	struct append_url *u = arena_new(c->arena, 1, sizeof(*u));

	u->s = c->s;
	u->arena = c->arena;
	if (!imap_url_parse(c->arena, text, &u->url) ||
	    !fetch_plan_section(c->arena, u->url.section, &u->section))
		return err_set(e, ERR_SYNTAX, "not an URL of a message");
	if (!is_ours(c->s, &u->url))
		return err_set(e, ERR_PERM, "URL of another server or user");
	if (name_from_utf8(c->s, c->arena, u->url.mailbox, &u->name, e) == -1)
		return -1;
	u->skip = u->url.start;
	u->left = u->url.count;
	*out = u;
	return 0;
}

/* ---- its bytes ---------------------------------------------------------------- */

static enum step
open_mailbox(struct append_url *u, struct err *e)
{
	struct mailbox *m;
	enum step step;

	if (u->is_open)
		return STEP_DONE;
	step = view_open(u->s->store, u->name, true, &u->view, e);
	if (step != STEP_DONE)
		return step;
	u->is_open = true;
	m = view_mailbox(u->view);
	if (u->url.uidvalidity != 0 &&
	    u->url.uidvalidity != mailbox_uidvalidity(m)) {
		(void)err_set(e, ERR_NOT_FOUND, "other UIDVALIDITY");
		return STEP_FAIL;
	}
	return STEP_DONE;
}

static enum step
find(struct append_url *u, struct err *e)
{
	struct str ignored;
	enum step step;

	if (u->msg == NULL && view_seq(u->view, u->url.uid) == 0) {
		(void)err_set(e, ERR_NOT_FOUND, "no such message");
		return STEP_FAIL;
	}
	if (u->msg == NULL && msg_open(u->view, u->url.uid, &u->msg, e) == -1)
		return STEP_FAIL;
	step = msg_ready(u->msg, e);
	if (step == STEP_DONE)
		step = msg_load_step(u->msg, MSG_FIRST_HEADER, e);
	if (step != STEP_DONE)
		return step;
	if (msg_header(u->msg, &ignored, e) == -1)
		return STEP_FAIL;
	if (u->section.n_numbers > 0 || msg_header_is_cut(u->msg))
		step = msg_parts_step(u->msg, e);
	if (step != STEP_DONE)
		return step;
	if (fetch_section_find(u->msg, &u->section, u->arena, &u->value, e) ==
	    -1)
		return STEP_FAIL;
	if (u->value.kind == SECTION_NIL) {
		(void)err_set(e, ERR_NOT_FOUND, "no such part");
		return STEP_FAIL;
	}
	u->at = u->value.off;
	u->is_found = true;
	return STEP_DONE;
}

/* Adds what of `wire` is asked for. */
static void
take(struct append_url *u, struct str wire, struct buf *out)
{
	size_t n = u->skip < wire.n ? (size_t)u->skip : wire.n;

	u->skip -= n;
	wire = str_skip(wire, n);
	if (wire.n > u->left)
		wire = str_head(wire, (size_t)u->left);
	u->left -= wire.n;
	buf_add_str(out, wire);
}

static enum step
read_some(struct append_url *u, struct buf *out, struct err *e)
{
	uint64_t end = u->value.off + u->value.len;
	char room[READ_BYTES] UNINITIALIZED;
	struct buf wire;
	size_t n, got;

	if (u->at >= end || u->left == 0)
		return STEP_DONE;
	n = end - u->at < READ_BYTES ? (size_t)(end - u->at) : READ_BYTES;
	if (msg_read(u->msg, u->at, room, n, &got, e) == -1)
		return STEP_FAIL;
	if (got == 0) {
		(void)err_set(e, ERR_GONE, "message is shorter than it was");
		return STEP_FAIL;
	}
	buf_init(&wire, 2 * READ_BYTES);
	wire_convert(&wire, str_make(room, got), &u->after_cr);
	take(u, buf_str(&wire), out);
	buf_done(&wire);
	u->at += got;
	return STEP_MORE;
}

/* Of bytes that were made for the section. */
static enum step
give_some(struct append_url *u, struct buf *out)
{
	struct str rest = str_skip(u->value.bytes, (size_t)u->at);

	if (rest.n == 0)
		return STEP_DONE;
	rest = str_head(rest, READ_BYTES);
	take(u, rest, out);
	u->at += rest.n;
	return STEP_MORE;
}

enum step
append_url_next(struct append_url *u, struct buf *out, struct err *e)
{
	enum step step = open_mailbox(u, e);

	if (step == STEP_DONE && !u->is_found)
		step = find(u, e);
	if (step == STEP_DONE)
		step = msg_ready(u->msg, e);
	if (step == STEP_DONE && u->value.kind != SECTION_BYTES)
		step = msg_seek(u->msg, u->at, e);
	if (step != STEP_DONE)
		return step;
	return u->value.kind == SECTION_BYTES ? give_some(u, out)
					      : read_some(u, out, e);
}

void
append_url_close(struct append_url **up)
{
	struct append_url *u = *up;

	*up = NULL;
	if (u == NULL)
		return;
	msg_close(&u->msg);
	view_close(&u->view);
}
