/* SPDX-License-Identifier: ISC */
/*
 * habit.h - what is done another way for some mail programs: a table of habits,
 * with the reason of each, by what a program says in ID or by setting; and
 * capabilities that the administrator masks.
 */
#ifndef IMAPD_HABIT_H
#define IMAPD_HABIT_H

#include "imapd/command.h"

/* Bits; the table in habit.c gives the reason of each. */
enum habit {
	HABIT_DELAY_NEWMAIL = 1 << 0,
	HABIT_LSUB_FLAGS = 1 << 1,
	HABIT_BACKGROUND = 1 << 2,
};

/* At a session's begin: the settings, and what ID said before the login. */
void habit_init(struct session *s, struct str client_id);
/* One field of ID (RFC 2971). */
void habit_id_begin(struct session *s);
void habit_id(struct session *s, struct str field, struct str value);

static inline bool habit_has(const struct session *s, enum habit h);

/*
 * Is this a session that works for nobody who waits (TN3189), and has the
 * machine more urgent work? ID, and a command that reads mail, is then answered
 * NO [UNAVAILABLE].
 */
bool habit_is_pressed(const struct session *s);
bool habit_must_wait(const struct session *s, const struct command *def);

/* Removes what is masked for this client from a list in b, from `from` on. */
void habit_mask(const struct session *s, struct buf *b, size_t from);
bool habit_is_masked(const struct session *s, struct str capability);

#include "imapd/session.h"

static inline bool
habit_has(const struct session *s, enum habit h)
{
	return (s->habits & h) != 0;
}

#endif
