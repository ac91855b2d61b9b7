/* SPDX-License-Identifier: ISC */
/*
 * location.h - where a user's mail is: Dovecot's mail_location, or found.
 *
 *	maildir:~/Maildir:LAYOUT=fs:INBOX=/var/mail/%u:CONTROL=/x/%n:INDEX=...
 */
#ifndef STORE_LOCATION_H
#define STORE_LOCATION_H

#include "base/arena.h"
#include "base/err.h"
#include "store/store.h"

struct location {
	const char *driver; /* "maildir" or "mbox" */
	struct str root; /* absolute */
	struct str inbox; /* absolute or p NULL */
	struct str control; /* absolute or p NULL */
	bool is_fs_layout;
	bool is_utf8; /* ":UTF-8": folder names are stored so */
	const char *note; /* a line for the administrator, or NULL */
};

/*
 * Understands a location. Variables: %u user, %n its part before "@", %d the
 * part behind, %h home, %% a percent sign, also as %{user}, %{home} and so on;
 * "~/" is the home. ERR_SYNTAX with what is wrong.
 */
int location_parse(struct arena *a, const struct store_settings *set,
    struct str text, struct location *out, struct err *e);
/* Looks where there is mail; for "auto". */
int location_find(struct arena *a, const struct store_settings *set,
    struct location *out, struct err *e);
/* The one or the other, as set->mail_location says. */
int location_get(struct arena *a, const struct store_settings *set,
    struct location *out, struct err *e);

#endif
