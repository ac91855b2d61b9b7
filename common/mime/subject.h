/* SPDX-License-Identifier: ISC */
/* subject.h - the base subject of SORT and THREAD (RFC 5256 section 2.1). */
#ifndef MIME_SUBJECT_H
#define MIME_SUBJECT_H

#include "base/arena.h"
#include "base/str.h"

/*
 * What remains of a decoded subject without "Re:", "Fwd:", "(fwd)", "[list]"
 * and the like, its blanks tidied, in `a`. Case is as written: compare by
 * fold.h. *is_reply (may be NULL) says that something of a reply or a forward
 * was taken away.
 */
struct str subject_base(struct arena *a, struct str decoded, bool *is_reply);

#endif
