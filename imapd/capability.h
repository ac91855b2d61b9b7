/* SPDX-License-Identifier: ISC */
/* capability.h - what is announced in which state. */
#ifndef IMAPD_CAPABILITY_H
#define IMAPD_CAPABILITY_H

#include "imapd/session.h"

/* "CAPABILITY IMAP4rev1 ..." as it stands behind "* " or in brackets. */
void capability_write(struct session *s, struct buf *b);

#endif
