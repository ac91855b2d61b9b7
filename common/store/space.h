/* SPDX-License-Identifier: ISC */
/*
 * space.h - namespaces: which store a mailbox name belongs to.
 *
 *	INBOX, Sent.2026     the user's own, at mail_location; with the setting
 *	                     namespace_prefix "INBOX." it is INBOX.Sent.2026
 *	INBOX.Sent.2026      the alias of the above, where inbox_alias is on and
 *	                     there is no such folder below INBOX
 *	#public/Staff/News   a store of its own, at public_location
 *	#user/bob/Sent/2026  another one for each owner, at others_location
 *
 * The head is the user's own store, which callers have; the others hang on it,
 * share its inotify instance and its waiters, and are never made on disk. In
 * names of theirs the delimiter is "/", whatever it is on disk.
 */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include "store/mailbox_impl.h"

/*
 * Prefix, alias and public mailboxes of a head that has just been opened. What
 * can not be opened is left out, with a line in the log.
 */
void spaces_open(struct store *head, const struct store_settings *set);
void spaces_close(struct store *head);

/*
 * *s: the store of *name, a name as clients have it; *name: the one that its
 * backend knows, in `a`; INBOX in capitals, one trailing delimiter gone.
 * `*s` is a head at the beginning. ERR_NOT_FOUND, ERR_BAD_NAME.
 */
int space_of(
    struct store **s, struct arena *a, struct str *name, struct err *e);
/*
 * A backend's name as clients see it, in `a`. False: it is not shown (INBOX of
 * public mailboxes, which is nobody's).
 */
bool space_name(const struct store *s, struct arena *a, struct str *name);
/* True when a name in the file of subscriptions is not of the head itself. */
bool space_is_foreign(const struct store *head, struct str name);
/*
 * Opens the stores of those who let others read their mail, for a few
 * milliseconds; STEP_MORE: call again. Several callers drive one search.
 */
enum step spaces_find_others(struct store *head);

/*
 * Folders for the sandbox beside the user's own, which need not exist: fn once
 * for each.
 */
int spaces_places(const struct store_settings *set,
    int (*fn)(const char *path, void *arg, struct err *e), void *arg,
    struct err *e);

/* store.c: as store_open, `head` NULL for the user's own. */
int store_open_part(struct store *head, const struct store_settings *set,
    struct ev_loop *loop, struct store **out, struct err *e);

#endif
