/* SPDX-License-Identifier: ISC */
/* flags.h - flags and keywords in IMAP syntax (RFC 3501 section 2.3.2). */
#ifndef IMAPD_FLAGS_H
#define IMAPD_FLAGS_H

#include "base/arena.h"
#include "base/buf.h"
#include "imap/imap_arg.h"
#include "store/mailbox.h"

/* "\Answered \Seen $Forwarded": a message's flags, without parentheses. */
void flags_write(struct buf *b, const struct mailbox *m, const struct flags *f);
/*
 * All that the mailbox knows: system flags (not \Recent), then keywords;
 * with `common` also those that every IMAP4rev2 server should have (RFC 9051
 * section 2.3.2), known or not.
 */
void flags_write_names(struct buf *b, const struct mailbox *m, bool common);
/* Those of them that are kept: see view_keeps(); with keywords "\*", too. */
void flags_write_permanent(struct buf *b, const struct mailbox *m,
    uint8_t system, bool keywords, bool common);
/*
 * The atoms from `a` to the list's end as a wish in `arena`. False:
 * not a flag-list, or one with a system flag that nobody can set (\Recent,
 * \Unknown): other servers say BAD to that, too, and no client lives by it.
 */
bool flags_parse(
    const struct imap_arg *a, struct arena *arena, struct flag_wish *out);

#endif
