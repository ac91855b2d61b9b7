/* SPDX-License-Identifier: ISC */
/*
 * capability.c - what is announced after login.
 *
 * Owns:    the list.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing.
 * Spec:    RFC 3501 section 6.1.1; the extensions' own RFCs.
 */
#include "imapd/capability.h"

#include "imapd/habit.h"
#include "imapd/limit.h"

static const char always[] =
    "CAPABILITY IMAP4rev1 IMAP4rev2 UTF8=ACCEPT I18NLEVEL=1 SASL-IR "
    "ENABLE ID IDLE NAMESPACE UIDPLUS "
    "MOVE UNSELECT CHILDREN SPECIAL-USE ESEARCH STATUS=SIZE MULTIAPPEND "
    "QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTA=RES-MAILBOX WITHIN "
    "CONDSTORE QRESYNC "
    "SEARCHRES PARTIAL LIST-EXTENDED LIST-STATUS OBJECTID SAVEDATE PREVIEW "
    "BINARY CATENATE URL-PARTIAL REPLACE INPROGRESS MULTISEARCH NOTIFY "
    "CONTEXT=SEARCH CONTEXT=SORT "
    "SORT "
    "SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS "
    "UIDONLY ACL RIGHTS=texk LIST-MYRIGHTS "
    "METADATA METADATA-SERVER LIST-METADATA CREATE-SPECIAL-USE";

void
capability_write(struct session *s, struct buf *b)
{
	size_t from = b->n;

	buf_add_c(b, always);
	/* Never both (RFC 7888 section 5). */
	buf_add_c(b, s->literal_minus ? " LITERAL-" : " LITERAL+");
	buf_add_c(b, " APPENDLIMIT");
	buf_addf(b, "=%llu", (unsigned long long)s->append_max_bytes);
	limit_write_capability(s, b);
	/* Once on, it can not be had again (RFC 4978 section 3). */
	if (!conn_has_deflate(s->conn))
		buf_add_c(b, " COMPRESS=DEFLATE");
	habit_mask(s, b, from);
}
