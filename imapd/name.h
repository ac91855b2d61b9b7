/* SPDX-License-Identifier: ISC */
/*
 * name.h - mailbox names between the client and the store. A client has them in
 * modified UTF-7, or in UTF-8 once it has enabled that (RFC 3501 section 5.1.3,
 * RFC 9755 section 3, RFC 9051 section 5.1): that form is called wire here.
 */
#ifndef IMAPD_NAME_H
#define IMAPD_NAME_H

#include "base/arena.h"
#include "base/err.h"
#include "imapd/command.h"
#include "store/store.h"

/*
 * A name as the client wrote it to UTF-8 in the arena; INBOX is spelt so then,
 * also as the first level, and UTF-8 is brought to Normalisation Form C, unless
 * there is a mailbox of just this spelling. ERR_BAD_NAME: not in the client's form, or empty;
 * ERR_LIMIT: too long.
 */
int name_decode(const struct session *s, struct arena *a, struct str wire,
    struct str *name, struct err *e);
/* The same for a name in UTF-8, whatever the client has enabled. */
int name_from_utf8(const struct session *s, struct arena *a, struct str utf8,
    struct str *name, struct err *e);
/*
 * As name_decode() for a command's argument. False: it is not an astring, or the name
 * can not be used; the command has been answered.
 */
bool name_arg(struct cmd *c, const struct imap_arg **a, struct str *name);

/* A pattern as name_matches() wants it: UTF-8 in it is composed. */
struct str name_pattern(struct cmd *c, struct str pattern);
/*
 * Does the pattern match a name, of which `wire` is the form that the client
 * has? A pattern with UTF-8 is one for UTF-8, whatever is enabled.
 */
bool name_matches(
    struct str pattern, struct str name, struct str wire, char delimiter);
/* False: a mailbox must not be made or renamed to this (RFC 9755 section 3). */
bool name_is_new_form(struct str name);

/* Appends the wire form of a name. What is no UTF-8 stays as it is. */
void name_wire(const struct session *s, struct buf *b, struct str name);
/* A wire form as an astring. */
void name_write_wire(const struct session *s, struct buf *b, struct str wire);
/* A name as an astring in its wire form. */
void name_write(const struct session *s, struct buf *b, struct str name);
/* A namespace's prefix as a string (RFC 2342 section 6). */
void name_write_prefix(
    const struct session *s, struct buf *b, struct str prefix);

#endif
