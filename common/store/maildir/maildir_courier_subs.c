/* SPDX-License-Identifier: ISC */
/*
 * maildir_courier_subs.c - Courier's list of subscriptions, in and out.
 *
 * Owns:    courierimapsubscribed, where store->is_courier.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing in the files.
 * Spec:    formats.md section 4.
 */

#include "base/bounds.h"
#include "store/maildir/courier.h"
#include "store/maildir/maildir_impl.h"
#include "store/subs.h"
#include "text/utf8.h"

#define FILE_MAX (UINT64_C(64) * 1024 * 1024)

/* Courier's list as dovecot's, in the order that it has. */
static bool
convert_subs(struct store *s, struct str bytes, struct buf *out)
{
	struct buf name, storage;
	struct str line;

	buf_init(&name, 4 * MAILBOX_NAME_MAX_BYTES);
	buf_init(&storage, 4 * MAILBOX_NAME_MAX_BYTES);
	(void)buf_add_c(out, SUBS_HEADER);
	while (str_next(&bytes, '\n', &line)) {
		buf_clear(&name);
		buf_clear(&storage);
		if (courier_sub_name(line, &name) && !buf_is_over(&name) &&
		    maildir_storage_name(s, buf_str(&name), &storage))
			subs_put_line(out, buf_str(&storage), s->delimiter);
	}
	buf_done(&name);
	buf_done(&storage);
	return !buf_is_over(out);
}

void
maildir_courier_subs(struct store *s)
{
	const struct maildir_place *p = s->impl;
	struct file_stamp own, theirs;
	struct buf b, out;
	struct err e;

	if (s->is_fs_layout ||
	    !file_stamp_at(p->rootfd, COURIER_SUBS, &theirs) ||
	    theirs.ino == 0 || !file_stamp_at(p->controlfd, SUBS_FILE, &own))
		return;
	if (own.ino != 0 &&
	    (!s->is_courier || file_time_cmp(&theirs.mtime, &own.mtime) <= 0))
		return;
	buf_init(&b, FILE_MAX);
	buf_init(&out, FILE_MAX);
	if (file_load(p->rootfd, COURIER_SUBS, &b, NULL, &e) == 0 &&
	    convert_subs(s, buf_str(&b), &out) &&
	    subs_replace(
		p->controlfd, SUBS_FILE, &p->perm, buf_str(&out), &e) == -1)
		store_warn(s,
		    SUBS_FILE " can not be made from " COURIER_SUBS ": %s",
		    e.text);
	buf_done(&b);
	buf_done(&out);
}

struct subs_export {
	struct store *s;
	struct buf out;
};

static void
on_sub(void *arg, struct str storage)
{
	struct subs_export *x = arg;
	struct buf name;

	buf_init(&name, 4 * MAILBOX_NAME_MAX_BYTES);
	if (maildir_name_of_storage(x->s, storage, &name) &&
	    utf8_is_valid(buf_str(&name)))
		(void)courier_sub_line(buf_str(&name), &x->out);
	buf_done(&name);
}

void
maildir_courier_subs_changed(struct store *s)
{
	const struct maildir_place *p = s->impl;
	struct subs_export x = {.s = s};
	struct timespec ts[2];
	struct stat st;
	struct err e;

	if (!s->is_courier || s->is_fs_layout)
		return;
	buf_init(&x.out, FILE_MAX);
	if (subs_load(p->controlfd, SUBS_FILE, s->delimiter, on_sub, &x, &e) ==
		0 &&
	    !buf_is_over(&x.out) &&
	    maildir_courier_put(p->rootfd, COURIER_SUBS, buf_str(&x.out),
		&p->perm, NULL, &e) == 0 &&
	    fstatat(p->controlfd, SUBS_FILE, &st, 0) == 0) {
		ts[0] = ts[1] = st.st_mtim;
		(void)utimensat(p->rootfd, COURIER_SUBS, ts, 0);
	}
	buf_done(&x.out);
}
