/* SPDX-License-Identifier: ISC */
/*
 * imap_write.h - values in IMAP syntax. This is the one layer that decides
 * between atom, quoted string and literal; nothing that it writes can break
 * out of a line (RFC 3501 section 9).
 */
#ifndef IMAP_IMAP_WRITE_H
#define IMAP_IMAP_WRITE_H

#include "base/buf.h"

/* "text", or {n}CRLF... when a byte can not be quoted (CR, LF, NUL, 8-bit). */
void imap_write_string(struct buf *b, struct str s);
/* NIL when s.p == NULL. */
void imap_write_nstring(struct buf *b, struct str s);
/* An atom when it can be one, else a string. */
void imap_write_astring(struct buf *b, struct str s);
/* Free text of a response line: control bytes and 8-bit become '?'. */
void imap_write_text(struct buf *b, struct str s);
/* UTF-8 mailbox name to modified UTF-7 astring (RFC 3501 section 5.1.3). */
void imap_write_mailbox(struct buf *b, struct str utf8_name);

#endif
