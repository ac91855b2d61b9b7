/* SPDX-License-Identifier: ISC */
/* msgid.h - message identifiers in Message-ID, In-Reply-To, References. */
#ifndef MIME_MSGID_H
#define MIME_MSGID_H

#include "base/arena.h"
#include "base/str.h"

/*
 * The next identifier of *value (a field's value, folded or not), without
 * angle brackets and without quotes that mean nothing, so that equal ones are
 * equal bytes (RFC 5256 section 3, REFERENCES). It lies in `value`, or in `a`
 * where something had to go. *value is moved behind it. False: no more.
 */
bool msgid_next(struct arena *a, struct str *value, struct str *id);

#endif
