/* SPDX-License-Identifier: ISC */
/* envelope.h - fields of a header become an envelope, one by one. */
#ifndef MIME_ENVELOPE_H
#define MIME_ENVELOPE_H

#include "mime/part.h"

/* The fields of RFC 3501 section 7.4.2, in the order of ENVELOPE. */
enum envelope_field {
	ENVELOPE_DATE,
	ENVELOPE_SUBJECT,
	ENVELOPE_IN_REPLY_TO,
	ENVELOPE_MESSAGE_ID,
	ENVELOPE_FROM,
	ENVELOPE_SENDER,
	ENVELOPE_REPLY_TO,
	ENVELOPE_TO,
	ENVELOPE_CC,
	ENVELOPE_BCC,
	ENVELOPE_FIELDS,
};

/* The field that an envelope needs under this name; false: none. */
bool envelope_field_find(struct str name, enum envelope_field *out);
/* An envelope while its header is read. */
struct envelope_maker {
	struct envelope *e;
	struct mime_addr **tails[ENVELOPE_FIELDS]; /* of address lists */
	size_t room[ENVELOPE_FROM]; /* bytes there are for each text */
	uint32_t *addresses; /* how many more may be taken */
};

/*
 * Empties *e and makes `m` ready for the fields; *addresses is how many may be
 * taken in all, over several messages, and both must live on.
 */
void envelope_begin(
    struct envelope_maker *m, struct envelope *e, uint32_t *addresses);
/*
 * Adds a field. The last of several counts (RFC 8621 4.1.3 reads them so), but
 * address lists are joined, so that no reader sees other senders than another
 * one. `value` may be folded.
 */
void envelope_add(struct envelope_maker *m, struct arena *a,
    enum envelope_field f, struct str value);
/* Sender and Reply-To are From when they are missing (RFC 3501 7.4.2). */
void envelope_finish(struct envelope_maker *m);

#endif
