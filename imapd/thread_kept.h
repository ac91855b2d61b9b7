/* SPDX-License-Identifier: ISC */
/* thread_kept.h - answers of THREAD that were kept: store/kept.h. */
#ifndef IMAPD_THREAD_KEPT_H
#define IMAPD_THREAD_KEPT_H

#include "base/buf.h"
#include "imapd/session.h"

/* Zeroed at the beginning; lives as long as the command's arena. */
struct thread_kept {
	uint8_t *seen; /* a bit for each message of the view */
	size_t at; /* so far in the answer */
	size_t depth;
	uint32_t left; /* messages that it has not named yet */
};

/*
 * The kept answer, with UIDs, when it is about exactly these messages. STEP_FAIL:
 * there is none such, and `out` is empty.
 */
enum step thread_kept_get(struct thread_kept *k, struct cmd *c,
    struct str question, const struct set32 *found, struct buf *out);
/* The UIDs of an answer, from *at on, as the client counts them. No STEP_FAIL. */
enum step thread_kept_write(
    struct buf *b, struct cmd *c, struct str text, size_t *at);

#endif
