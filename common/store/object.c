/* SPDX-License-Identifier: ISC */
/*
 * object.c - identifiers of mailboxes, messages and threads.
 *
 * Owns:    the fact INDEX_EMAILID.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing: what stands in a message decides its thread alone, and what
 *          stands in the index is looked at before it goes out.
 * Spec:    RFC 8474 sections 4, 5; RFC 8514 section 3.
 */
#include <stdio.h>

#include "store/derived.h"
#include "store/msg_impl.h"
#include "store/msg_keys.h"
#include "store/object.h"
#include "text/ascii.h"
#include "text/md5.h"

#define READ_PIECE ((size_t)64 * 1024)
#define STEP_BYTES ((size_t)2 * 1024 * 1024)

static void
id_of(char letter, struct str from, char out[OBJECT_ID_MAX])
{
	char hex[2 * MD5_BYTES + 1];
	struct md5 sum;

	md5_init(&sum);
	md5_add(&sum, from);
	md5_end_hex(&sum, hex);
	(void)snprintf(out, OBJECT_ID_MAX, "%c%s", letter, hex);
}

/* ---- mailboxes ----------------------------------------------------------- */

void
object_mailbox_id(const char *guid, uint32_t uidvalidity, struct str place,
    char out[OBJECT_ID_MAX])
{
	struct buf b;

	if (guid[0] != '\0') {
		(void)snprintf(out, OBJECT_ID_MAX, "%s", guid);
		return;
	}
	buf_init(&b, SIZE_MAX / 2);
	(void)buf_addf(&b, "%u ", uidvalidity);
	(void)buf_add_str(&b, place);
	id_of('B', buf_str(&b), out);
	buf_done(&b);
}

void
mailbox_object_id(const struct mailbox *m, char out[OBJECT_ID_MAX])
{
	struct buf place;
	struct str name = str_of(m->name);

	buf_init(&place, 64 * 1024);
	if (m->guid[0] == '\0' &&
	    (m->store->ops->index_place == NULL ||
		!m->store->ops->index_place(m->store, name, &place))) {
		buf_clear(&place);
		(void)buf_addf(
		    &place, "%s/%.*s", m->store->root, STR_ARG(name));
	}
	object_mailbox_id(m->guid, m->uidvalidity, buf_str(&place), out);
	buf_done(&place);
}

/* ---- messages ------------------------------------------------------------ */

/* Is this what we wrote once? */
static bool
is_id(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]))
			return false;
	return s.n == 1 + 2 * MD5_BYTES;
}

/* All bytes, some at a time; what was read of it is in m->id_sum. */
static enum step
sum_bytes(struct msg *m, char out[OBJECT_ID_MAX], struct err *e)
{
	char piece[READ_PIECE] UNINITIALIZED, hex[2 * MD5_BYTES + 1];
	enum step step = msg_load_step(m, 0, e);
	size_t got;

	if (step == STEP_DONE)
		step = msg_seek(m, m->id_begun ? m->id_read : 0, e);
	if (step != STEP_DONE)
		return step;
	if (!m->id_begun) {
		md5_init(&m->id_sum);
		m->id_begun = true;
		m->id_read = 0;
	}
	for (size_t budget = STEP_BYTES; budget >= READ_PIECE;
	     budget -= READ_PIECE) {
		if (msg_read(m, m->id_read, piece, READ_PIECE, &got, e) == -1)
			return STEP_FAIL;
		if (got > 0) {
			md5_add(&m->id_sum, str_make(piece, got));
			m->id_read += got;
			continue;
		}
		md5_end_hex(&m->id_sum, hex);
		m->id_begun = false;
		(void)snprintf(out, OBJECT_ID_MAX, "M%s", hex);
		return STEP_DONE;
	}
	return STEP_MORE;
}

enum step
msg_email_id(struct msg *m, char out[OBJECT_ID_MAX], struct err *e)
{
	struct mailbox *box = m->mailbox;
	struct msg_facts f = {0};
	struct str known;
	enum step step;

	if (box->store->ops->msg_facts(box, m->uid, &f) && f.guid.n > 0) {
		/* What follows the comma is about this file. */
		id_of('M', str_head(f.guid, str_find(f.guid, ',')), out);
		return STEP_DONE;
	}
	if (!m->id_begun && derived_get(box, m->uid, INDEX_EMAILID, &known) &&
	    is_id(known) && str_to_c(known, out, OBJECT_ID_MAX))
		return STEP_DONE;
	step = sum_bytes(m, out, e);
	if (step == STEP_DONE)
		derived_put(box, m->uid, INDEX_EMAILID, str_of(out));
	return step;
}

enum step
msg_thread_id(struct msg *m, char out[OBJECT_ID_MAX], struct err *e)
{
	struct thread_keys keys;
	struct arena a;
	enum step step = STEP_FAIL;
	struct str root;

	arena_init(&a);
	if (msg_thread_keys(m, &a, &keys, e) == 0) {
		root = keys.refs.n > 0
		    ? str_head(keys.refs, str_find(keys.refs, '\0'))
		    : keys.id;
		step = STEP_DONE;
		if (root.n > 0)
			id_of('T', root, out);
		else if ((step = msg_email_id(m, out, e)) == STEP_DONE)
			out[0] = 'T';
	}
	arena_done(&a);
	return step;
}

bool
view_save_date(struct view *v, uint32_t uid, int64_t *out)
{
	return set32_has(&v->m->live, uid) && derived_save_date(v->m, uid, out);
}
