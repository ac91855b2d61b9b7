/* SPDX-License-Identifier: ISC */
/*
 * doveadm.h - has Dovecot go on above our mod-sequences, which it keeps in an
 * index of its own (RFC 7162 section 3.1).
 */
#ifndef CTL_DOVEADM_H
#define CTL_DOVEADM_H

#include "user.h"

struct doveadm {
	const struct ctl_user *user;
	const char *config; /* Dovecot's; NULL: its usual one */
	const char *location; /* in Dovecot's syntax, of the mail */
	bool is_alone; /* Dovecot does not run: as the user, by itself */
};

/* Is it installed? */
bool doveadm_is_there(void);
/*
 * Lifts one mailbox. When Dovecot does not answer, that is remembered in `d`,
 * and it is done without it. ERR_OTHER with what doveadm says.
 */
int doveadm_lift(
    struct doveadm *d, struct str mailbox, uint64_t modseq, struct err *e);
/* The command, as a shell takes it. */
void doveadm_print(const struct doveadm *d, struct str mailbox, uint64_t modseq,
    struct buf *out);

#endif
