/* SPDX-License-Identifier: ISC */
/*
 * derived.h - what a mailbox keeps in the index: its records, so that an
 * unchanged one is opened without reading it, facts about its messages,
 * mod-sequences. For backends and for what lies above them; with no index all
 * of it does nothing, and costs nothing but time.
 *
 * A mailbox is LAZY while the records up to m->lazy_top are in the index alone
 * (m->live and the keywords are always whole); mailbox_load() brings them in.
 * A few that are being changed are brought in one by one (derived_single), so
 * that a STORE costs what it changes, not what the mailbox holds.
 *
 *	not known --derived_take--> LAZY --mailbox_load--> LOADED
 *	not known --derived_attach, from disk-----------> LOADED
 *
 * Changes are written a moment after the last one, and when it is closed. The
 * head says under which circumstances (the backend's) they are true, so one
 * that is out of date is only a reason to look at the disk.
 */
#ifndef STORE_DERIVED_H
#define STORE_DERIVED_H

#include "index/cache.h"
#include "index/index_box.h"
#include "store/mailbox_impl.h"

/* ---- the store's --------------------------------------------------------- */

/* `dir` NULL, "" or "none": without index. It is opened when first needed. */
void derived_store_open(struct store *s, const char *dir);
void derived_store_close(struct store *s);
/* NULL: there is none. */
struct index *derived_index(struct store *s);
/*
 * The end of a step: facts that were found are written, nothing is held. The
 * loop lets go before it waits, and writes facts when some have come together,
 * or a moment later; without a loop the caller does.
 */
void derived_pause(struct store *s);
/* Nothing happens for a while: memory that is of no use now goes. */
void derived_rest(struct store *s);
/* Writes all that is to be written now: for tests and at the end. */
void derived_flush(struct store *s);
/*
 * The mailbox at `place` is removed: what the index has of it goes. Those below
 * it stay, they are asked for one by one.
 */
void derived_forget(struct store *s, struct str place);
/*
 * The mailbox at `from`, which may be but a level, and all below it have
 * another place now; so have open ones. What the index had of `to` goes.
 */
void derived_rename(struct store *s, struct str from, struct str to);
/*
 * What the index has of mailboxes whose file or folder has been missing for a
 * month goes: other programs remove them without a word. Once a day a process
 * does so in its idle time; this does it now, whatever the time.
 */
void derived_sweep(struct store *s);
/*
 * What is known of the mailbox at `place`, when the backend finds it true
 * (ops->index_is_true): for STATUS without opening it.
 */
bool derived_status(struct store *s, struct str name, struct str place,
    bool with_size, struct mailbox_status *out);

/* ---- for backends -------------------------------------------------------- */

/*
 * In ops->open, before anything is read: takes identity, keywords, UIDs from
 * the index, if ops->index_take agrees that they are true. False: read the disk,
 * and say derived_attach() when the identity is known.
 */
bool derived_take(struct mailbox *m, struct str place);
void derived_attach(struct mailbox *m, struct str place);
/* Side bytes of a message that is not loaded, as ops->index_side gave them;
 * borrowed until the index is used again. */
bool derived_side(
    struct mailbox *m, uint32_t uid, struct index_rec *r, struct str *side);
/* Are those records what we took or wrote? Else somebody else's. */
bool derived_is_ours(struct mailbox *m);
/* May a message that is not loaded have a name with this sum? */
bool derived_may_have(struct mailbox *m, uint64_t hash);

/* ---- for mailbox.c, view.c, msg.c ---------------------------------------- */

/* Writes what is not yet written, and forgets the mailbox. */
void derived_done(struct mailbox *m);
void derived_note_new(struct mailbox *m, uint32_t uid);
/* The same for one that we have put there: it came just now. */
void derived_note_put(struct mailbox *m, uint32_t uid);
void derived_note_flags(struct mailbox *m, uint32_t uid);
void derived_note_vanished(struct mailbox *m, uint32_t uid);
/* One of the mailbox itself: no message is newer for it. */
void derived_note_annotation(struct mailbox *m);
/* What the backend keeps beside a record has changed. */
void derived_note_side(struct mailbox *m, uint32_t uid);
/* ... of so many records that all are written anew. */
void derived_note_sides(struct mailbox *m);
/* Something beside records has changed: times of folders, keywords. */
void derived_note_state(struct mailbox *m);
/*
 * The record of a message up to lazy_top, brought in if it is not yet one of
 * m->singles. NULL: all have to be loaded.
 */
struct msg_rec *derived_single(struct mailbox *m, uint32_t uid);
/* The same if it is there already. */
struct msg_rec *derived_find_single(struct mailbox *m, uint32_t uid);
/*
 * The records of messages that are not loaded, from that of `uid` on: for a
 * walk within one step. False: it has to be asked for by itself.
 */
bool derived_run_begin(struct mailbox *m, uint32_t uid, struct view_run *run);
/* The record of `uid`, when the run has it from its place on; else NULL. */
const char *view_run_find(struct view_run *run, uint32_t uid);
/* The flags of a message that is not loaded. */
bool derived_flags(struct mailbox *m, uint32_t uid, struct flags *out);
struct derived_counts {
	uint32_t unseen, deleted, first_unseen;
};
/* Of messages that are not loaded: how many, and the first unseen one. */
struct derived_counts derived_counts(const struct mailbox *m);

/* ---- facts --------------------------------------------------------------- */

/*
 * What is known of a message: out->known says what is. Names of files do not
 * change, but their times may: these are facts of when they were looked at.
 */
bool derived_facts(struct mailbox *m, uint32_t uid, struct index_rec *out);
/*
 * The same for one message after the other: `run` remembers the place, begins
 * as {0} and does not outlive the step.
 */
bool derived_facts_next(struct mailbox *m, uint32_t uid, struct view_run *run,
    struct index_rec *out);
void derived_note_size(
    struct mailbox *m, uint32_t uid, uint64_t size, uint64_t wire_size);
/* Of one whose wire size was not counted: INDEX_HAS_BOUNDS. */
void derived_note_bounds(
    struct mailbox *m, uint32_t uid, uint64_t low, uint64_t high);
void derived_note_date(struct mailbox *m, uint32_t uid, int64_t date_s);
/* The message is not what we knew: all facts about it go. */
void derived_forget_facts(struct mailbox *m, uint32_t uid);
/* A slot's bytes, borrowed until the index is used again. */
bool derived_get(
    struct mailbox *m, uint32_t uid, enum index_slot slot, struct str *value);
void derived_put(
    struct mailbox *m, uint32_t uid, enum index_slot slot, struct str value);

/* ---- filters (index/filter.h): derived_filter.c ---------------------------- */

/* Of one message; borrowed as above. */
bool derived_filter(struct mailbox *m, uint32_t uid, struct str *record);
/* The group that begins at or before `uid`; borrowed. */
bool derived_filter_group(struct mailbox *m, uint32_t uid, struct str *group);
/*
 * A group whose first UID is `uid`, in the place of one that began there; empty:
 * the one that has `uid` goes.
 */
void derived_put_filters(struct mailbox *m, uint32_t uid, struct str group);
/* Up to which UID all have been made, 0: not known. */
uint32_t derived_filtered(struct mailbox *m);
void derived_note_filtered(struct mailbox *m, uint32_t uid);

/* When a LIVE message came here; false: that is not known (RFC 8514). */
bool derived_save_date(struct mailbox *m, uint32_t uid, int64_t *out);
/* Of a LIVE message; 0: not known (RFC 7162 would say 1). */
uint64_t derived_modseq(struct mailbox *m, uint32_t uid);
/* UIDs that vanished after `modseq`; false: not known any more. */
bool derived_vanished(struct mailbox *m, uint64_t modseq, struct set32 *out);

#endif
