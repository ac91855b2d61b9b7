/* SPDX-License-Identifier: ISC */
/*
 * mailbox.h - an open mailbox and a session's view of it.
 *
 * All sessions of the process that have the same mailbox open share one
 * struct mailbox; each has a view of its own. A view is a set of UIDs that
 * stays as it is, so sequence numbers hold, until view_sync() tells the
 * session's owner what changed. Its memory grows with ranges and pending
 * changes, not with messages.
 */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "base/set32.h"
#include "store/store.h"

enum msg_flag {
	FLAG_ANSWERED = 1 << 0,
	FLAG_FLAGGED = 1 << 1,
	FLAG_DELETED = 1 << 2,
	FLAG_SEEN = 1 << 3,
	FLAG_DRAFT = 1 << 4,
	FLAG_RECENT = 1 << 5, /* per view; never stored */
};

/*
 * A message's flags. Keywords are numbers of this mailbox; name them with
 * mailbox_keyword_name(). `more` is sorted and borrowed: valid until the
 * store is called again.
 */
struct flags {
	uint8_t system; /* enum msg_flag */
	uint32_t keywords; /* bit i: keyword number i, 0..25 */
	const uint16_t *more; /* numbers from 26 up */
	uint16_t n_more;
};

struct mailbox;
struct view;
struct append;

/* A wish for flags by name, as STORE, APPEND and COPY have it. */
struct flag_wish {
	uint8_t system;
	const struct str *keywords; /* names */
	size_t n_keywords;
};

/*
 * Opens and syncs; takes part in the shared instance. With `read_only`
 * (EXAMINE) nothing moves from new/ to cur/ and \Recent is not taken.
 * ERR_NOT_FOUND, ERR_PERM, ERR_CORRUPT. *out begins as NULL, is the state until
 * STEP_DONE, and NULL again after STEP_FAIL. view_close ends it at any time.
 */
enum step view_open(struct store *s, struct str name, bool read_only,
    struct view **out, struct err *e);
void view_close(struct view **v);
struct mailbox *view_mailbox(struct view *v);
bool view_is_read_only(const struct view *v); /* also: the place is */
/*
 * False in a view that is not read-only: \Seen alone can be changed, because
 * it is the viewer's own (mailboxes of others that he may only read).
 */
bool view_may_change(const struct view *v);
/* Is there anything that others see of what one may do (RFC 4314 5.2)? */
bool view_is_read_write(const struct view *v);
/* Of the viewer: enum acl_right (acl.h). */
unsigned view_rights(const struct view *v);
/*
 * What is kept of the flags that he sets: *system, enum msg_flag; returns
 * whether keywords are, too.
 */
bool view_keeps(const struct view *v, uint8_t *system);

/* As its backend has it; mailbox_full_name(): as clients do, in `a`. */
struct str mailbox_name(const struct mailbox *m);
struct str mailbox_full_name(const struct mailbox *m, struct arena *a);
uint32_t mailbox_uidvalidity(const struct mailbox *m);
uint32_t mailbox_uidnext(const struct mailbox *m);
/* What is known now, but for sizes; looks at nothing. */
void mailbox_status(struct mailbox *m, struct mailbox_status *out);
/* 32 hex digits or "". */
const char *mailbox_guid(const struct mailbox *m);
/* Number of keywords known (numbers are 0..n-1, some may be unused: NULL). */
size_t mailbox_keyword_count(const struct mailbox *m);
struct str mailbox_keyword_name(const struct mailbox *m, size_t number);
/* Number of a name, compared without case; false when unknown. */
bool mailbox_keyword_find(
    const struct mailbox *m, struct str name, size_t *number);

/* Messages that the client knows of; of them: those that are \Recent here. */
uint32_t view_count(struct view *v);
uint32_t view_recent(struct view *v);
/* Sequence number of the first message without \Seen, 0 if none. */
uint32_t view_first_unseen(struct view *v);
/* seq 1..count to UID; 0 when out of range. */
uint32_t view_uid(struct view *v, uint32_t seq);
/* UID to seq; 0 when not in the view. */
uint32_t view_seq(struct view *v, uint32_t uid);
/* The UIDs of the view; borrowed, do not change. */
const struct set32 *view_uids(struct view *v);
/*
 * Current flags of a message of the view, \Recent included. An expunged one
 * which the session still sees has the flags it had. False: not in the view.
 */
bool view_flags(struct view *v, uint32_t uid, struct flags *out);

struct index;

/* Records that stand one behind the other in the index. */
struct view_run {
	const struct index *ix;
	uint64_t serial; /* of the index then */
	const char *recs;
	uint32_t n;
};

/*
 * The messages of `uids` that are in a view, from UID `from` on, one after the
 * other: cheaper than to ask for the number and the flags of each. Good until
 * the step ends, and as long as nothing else is done with the view or `uids`.
 */
struct view_walk {
	uint32_t uid, seq; /* of the present message */
	struct view *v;
	const struct set32 *uids;
	uint64_t from; /* UIDs below are done */
	size_t at, range; /* of `uids` and of the view's */
	uint32_t before; /* messages before that range */
	size_t rec; /* where the present one's record was */
	struct view_run run; /* those behind it, as far as they are known */
	bool is_plain; /* nothing but the records says what the flags are */
};

/* Over those of `uids` from UID `from` on; the view must not sync meanwhile. */
void view_walk_begin(struct view_walk *w, struct view *v,
    const struct set32 *uids, uint32_t from);
/* False: there are no more. */
bool view_walk_next(struct view_walk *w);
/* As view_flags() of the present message. */
bool view_walk_flags(struct view_walk *w, struct flags *out);

/* ---- what changed -------------------------------------------------------- */

struct view_sink {
	/*
	 * Messages of the view are gone, and that will be told, or is kept
	 * back; before any of it. Some of them may have been in an earlier call.
	 */
	void (*gone)(void *arg, const struct set32 *uids);
	void (*expunge)(void *arg, uint32_t seq, uint32_t uid);
	void (*exists)(void *arg, uint32_t count);
	void (*recent)(void *arg, uint32_t count);
	/* Flags changed by somebody else (or by us, not silent). */
	void (*flags)(void *arg, uint32_t seq, uint32_t uid);
	/* New keyword names: send FLAGS and PERMANENTFLAGS again. */
	void (*keywords)(void *arg);
};

/*
 * Looks at the disk when it may have changed (cheap when not), then tells
 * what is pending, in a legal order, and moves the view forward. Without
 * `may_expunge` (FETCH, STORE, SEARCH without UID; RFC 3501 7.4.1) expunges
 * stay pending, and new messages behind them are still announced. Between two
 * STEP_MOREs the view is already as the sink was told.
 */
enum step view_sync(struct view *v, bool may_expunge,
    const struct view_sink *sink, void *arg, struct err *e);
/*
 * While it is on, view_sync does not tell of new messages either: with
 * `may_expunge` false the view stays as it is.
 */
void view_hold(struct view *v, bool on);
/* True when view_sync would have something to tell. */
bool view_has_news(struct view *v);
/*
 * Calls fn from the loop when news may be there (another session, inotify,
 * polling); for IDLE. One per view; NULL ends it.
 */
void view_listen(struct view *v, void (*fn)(void *arg), void *arg);

/* ---- changes ------------------------------------------------------------- */

/* FLAGS, +FLAGS, -FLAGS. */
enum store_op { STORE_SET, STORE_ADD, STORE_REMOVE };

/*
 * Before flags of those of `uids` from UID `from` on are asked for: other
 * programs may have changed them, and finding that out may take long. Without
 * it view_flags() does so in one go. STEP_MORE or STEP_DONE.
 */
enum step view_freshen(struct view *v, const struct set32 *uids, uint32_t from);

/*
 * Changes flags of `uids` (which are in the view), a few messages per call:
 * STEP_MORE means call again with the same *at (start with 0, an UID to go
 * on from). Messages that are gone are skipped and added to `gone`, if given.
 * With `silent` this view will not be told its own change; others are.
 */
enum step view_store(struct view *v, const struct set32 *uids, enum store_op op,
    const struct flag_wish *w, bool silent, uint32_t *at, struct set32 *gone,
    struct err *e);

/*
 * Removes those messages of `uids` (NULL: of the view) that are \Deleted; a few
 * per call as above. The view learns of it by view_sync.
 */
enum step view_expunge(
    struct view *v, const struct set32 *uids, uint32_t *at, struct err *e);

/*
 * Is a message of the view still there to be removed, as far as is known, and may
 * the viewer do that? ERR_GONE, ERR_PERM, ERR_READ_ONLY.
 */
int view_can_remove(struct view *v, uint32_t uid, struct err *e);
/*
 * Removes messages of the view whatever their flags, those that are there
 * still; a few per call as above. What another session makes of \Deleted
 * meanwhile is no reason to leave one.
 */
enum step view_remove(
    struct view *v, const struct set32 *uids, uint32_t *at, struct err *e);
/*
 * What `append` replaces by removing that message, of which it is told: its
 * bytes, where they are counted with the quota of the new one's mailbox, so that
 * only what is added counts (RFC 8508 section 3.4). In a Maildir it goes with the
 * commit, and view_remove() finds it gone.
 */
void view_replaces(struct view *v, uint32_t uid, struct append *append);

/* Pairs for COPYUID: message i of `from` became i of `to` (RFC 4315). */
struct copy_result {
	uint32_t uidvalidity; /* 0: UIDs unknown, send no COPYUID */
	struct set32 from, to;
};

struct copy_job;
/*
 * Copies (or moves: with `move` the sources vanish) to mailbox `dest`, all or
 * nothing for copies. State is kept in *job between calls; after DONE or FAIL,
 * or to give up, copy_job_free(). Flags, keywords, INTERNALDATE are kept.
 * ERR_NOT_FOUND: no such mailbox (client: TRYCREATE).
 */
enum step view_copy(struct view *v, const struct set32 *uids, struct str dest,
    bool move, struct copy_job **job, struct copy_result *out, struct err *e);
void copy_job_free(struct copy_job **job);
/* How many messages have been copied so far; 0 for NULL. */
uint32_t copy_job_count(const struct copy_job *job);

/*
 * APPEND: spools to the mailbox's tmp/ as bytes come, CRLF becomes what the
 * backend stores. append_commit makes it durable and visible. Several
 * messages between begin and commit are all or nothing (RFC 3502).
 */
/* *out begins as NULL and is the state; append_free() in any case. */
enum step append_begin(
    struct store *s, struct str mailbox, struct append **out, struct err *e);
/* A new message of `size` wire bytes; date_s -1: now. */
int append_message(struct append *a, const struct flag_wish *w, int64_t date_s,
    uint64_t size, struct err *e);
/*
 * Before append_message: is there room for one more of this size? STEP_MORE as
 * in store.h; ERR_OVER_QUOTA.
 */
enum step append_may_add(struct append *a, uint64_t size, struct err *e);
/*
 * A file without a name, to put a message together in; beside the mailbox or in
 * the folder for such things. -1: error. The caller closes it.
 */
int append_scratch(struct append *a, struct err *e);
int append_data(struct append *a, struct str bytes, struct err *e);
/* uids: of the new messages in order; *uidvalidity 0 when unknown. */
enum step append_commit(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e);
/* Behind its STEP_MORE: what other sessions add now would share its waits for
 * the disk, so they should have their turn. */
bool append_yields(const struct append *a);
/* Removes what was not committed. */
void append_free(struct append **a);

#endif
