/* SPDX-License-Identifier: ISC */
/*
 * rights.h - what the viewer may do with a mailbox (RFC 4314): what its
 * dovecot-acl gives him, as far as the permissions of the files let him; where
 * there is no dovecot-acl, what the permissions let him.
 *
 *	path readable (Maildir: the folder, cur, new)	l r s p
 *	and writable (Maildir: tmp, too)		w t i e
 *	the place of mailboxes below it is writable	k
 *	the folder that it lies in is writable		x
 *	it belongs to the viewer's uid			all
 *
 * In the user's own mail he has all rights; there only a folder that belongs to
 * another uid and has a dovecot-acl is looked at. Where everybody has one uid,
 * the permissions say nothing of who may what: the mailboxes of another user
 * (#user/) are then open to those alone whom a dovecot-acl names.
 */
#ifndef STORE_RIGHTS_H
#define STORE_RIGHTS_H

#include <limits.h>

#include "store/acl.h"
#include "store/mailbox_impl.h"

#define ACL_FILE "dovecot-acl"

/* Where a mailbox is; a backend fills it in (ops->rights_place). */
struct rights_place {
	char path[PATH_MAX]; /* absolute: its folder or its file */
	char acl_dir[PATH_MAX]; /* where its dovecot-acl lies */
	bool is_file;
	bool is_level; /* no mailbox, only a folder with some below it */
	bool holds_all; /* the folder of all mailboxes: a Maildir's INBOX */
};

/* Names are those that the store `s` itself has, not those of clients. */

/* ERR_NOT_FOUND; else *out, perhaps ACL_NONE. */
int rights_of(struct store *s, struct str name, unsigned *out, struct err *e);
/*
 * Has the viewer one of the rights on the nearest existing level above a new
 * mailbox? ERR_PERM.
 */
int rights_above(
    struct store *s, struct str name, unsigned wanted, struct err *e);
/*
 * Are the rights enough? ERR_PERM; ERR_NOT_FOUND for one who may not even know
 * that there is such a mailbox.
 */
int rights_need(unsigned rights, unsigned wanted, struct err *e);
/* When a mailbox is acquired: fills in m->rights. ERR_NOT_FOUND. */
int rights_take(struct mailbox *m, struct err *e);
/*
 * For a session that has it open: looks again, at most once a second; true when
 * the rights are other ones now.
 */
bool rights_look(struct mailbox *m);
/* May the viewer's session see this name in a list? */
bool rights_may_list(struct store *s, struct str name, unsigned attrs);

/*
 * The file of a place. ERR_NOT_FOUND: there is none; ERR_PERM; ERR_CORRUPT.
 * `l` has just been initialised.
 */
int rights_load(const struct rights_place *p, struct acl *l, struct err *e);
/* Whose rights are asked for: the process's user and his groups. */
struct acl_who rights_viewer(struct store *s);
void rights_close(struct store *s);

#endif
