/* SPDX-License-Identifier: ISC */
/*
 * flag_texts.h - lists of flags, written once for each combination: most of a
 * mailbox's messages have one of a few.
 */
#ifndef IMAPD_FLAG_TEXTS_H
#define IMAPD_FLAG_TEXTS_H

#include "base/buf.h"
#include "store/mailbox.h"

#define FLAG_TEXTS 32u

struct flag_texts {
	const struct mailbox *m;
	struct flag_text {
		uint32_t keywords;
		uint8_t system;
		uint8_t n; /* bytes of text; 0: free */
		char text[90];
	} texts[FLAG_TEXTS];
	struct buf other; /* the last one that is not kept */
};

/* Good as long as no keyword gets a name: for one step. */
void flag_texts_init(struct flag_texts *t, const struct mailbox *m);
void flag_texts_done(struct flag_texts *t);
/* "(\Seen $Label1)"; borrowed until the next call. */
struct str flag_texts_get(struct flag_texts *t, const struct flags *f);

#endif
