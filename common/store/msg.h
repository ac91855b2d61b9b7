/* SPDX-License-Identifier: ISC */
/*
 * msg.h - one message: its bytes as stored, its facts.
 * Kept open for as long as the caller works on it, even when it is expunged
 * meanwhile.
 */
#ifndef STORE_MSG_H
#define STORE_MSG_H

#include "index/index_key.h"
#include "mime/part.h"
#include "store/mailbox.h"

struct msg;

/* What is known of a message without looking at it. */
struct msg_known {
	bool has_size, has_date;
	uint64_t wire_size;
	/* Without has_size: it is not below `low`, and not above `high`. */
	uint64_t low, high;
	int64_t date_s;
};

/* False: nothing, or the message is gone. */
bool view_known(struct view *v, uint32_t uid, struct msg_known *out);
/*
 * The same for one message after the other, which is cheaper: `run` begins as
 * {0} and does not outlive the step.
 */
bool view_known_next(
    struct view *v, uint32_t uid, struct view_run *run, struct msg_known *out);
/*
 * A fact that was kept about a message, in the form in which it was given;
 * borrowed until the step ends. False: none, or the message is gone.
 */
bool view_fact(
    struct view *v, uint32_t uid, enum index_slot slot, struct str *value);
/* Keeps one; it is written at the end of the step, and may be lost. */
void view_keep_fact(
    struct view *v, uint32_t uid, enum index_slot slot, struct str value);

/* Is there an index to keep them in? */
bool view_keeps_facts(struct view *v);
/*
 * The search filter of a message (index/filter.h), and the group in which it
 * is or would be; borrowed as view_fact(). view_keep_filters() keeps a group
 * under its first UID.
 */
bool view_filter(struct view *v, uint32_t uid, struct str *record);
bool view_filter_group(struct view *v, uint32_t uid, struct str *group);
void view_keep_filters(struct view *v, uint32_t uid, struct str group);
/*
 * Up to this UID all messages have been given a filter that can have one; 0: not
 * known. view_note_filtered() says so.
 */
uint32_t view_filtered(struct view *v);
void view_note_filtered(struct view *v, uint32_t uid);
/* Is it in the view, and still there? */
bool view_has_message(struct view *v, uint32_t uid);
struct store *view_store_of(struct view *v);

/* ERR_GONE: expunged or removed by another program. Lazily opens the file. */
int msg_open(struct view *v, uint32_t uid, struct msg **out, struct err *e);
void msg_close(struct msg **m);

/*
 * Until its bytes can be had without waiting, for callers who take steps: before
 * each that may read. Others wait in msg_read() and the like, and with them all
 * of the user's sessions.
 */
enum step msg_ready(struct msg *m, struct err *e);
/*
 * Opens the file now, where otherwise the first look at its bytes would: size
 * and date then need no look-up of their own. About `first` bytes from its
 * beginning will be wanted: they may be read with the same call. ERR_GONE as
 * msg_open.
 */
#define MSG_FIRST_HEADER ((size_t)8 * 1024)
#define MSG_FIRST_ALL ((size_t)64 * 1024) /* of a small message all */
int msg_load(struct msg *m, size_t first, struct err *e);
/*
 * The same for callers who take steps: a message that is stored compressed has
 * to be looked through before any byte of it can be had. Others of this file's
 * functions do so at once.
 */
enum step msg_load_step(struct msg *m, size_t first, struct err *e);
/*
 * Until reading at `off` takes no longer than elsewhere, for the same callers,
 * behind msg_ready(): of a large compressed message all before it is decoded.
 */
enum step msg_seek(struct msg *m, uint64_t off, struct err *e);
/* Is it such a message? It is open. */
bool msg_seeks_slowly(const struct msg *m);
/*
 * As msg_load, and reads a small message whole, so that several looks at it
 * cost one read.
 */
int msg_load_all(struct msg *m, struct err *e);
/*
 * `n` stored bytes at `off` (fewer only at the end), when they have been read
 * already: borrowed until msg_close() or msg_load_all().
 */
bool msg_at_hand(struct msg *m, uint64_t off, size_t n, struct str *out);

/* The one it was opened with. */
uint32_t msg_uid(const struct msg *m);
/* Seconds since 1970 of INTERNALDATE. */
int msg_internal_date(struct msg *m, int64_t *out, struct err *e);
/* Bytes as stored. */
int msg_size(struct msg *m, uint64_t *out, struct err *e);
/* RFC822.SIZE: with every line end as CRLF; from the name when trustworthy. */
int msg_wire_size(struct msg *m, uint64_t *out, struct err *e);
/*
 * A few megabytes of the reading that msg_wire_size() may have to do; STEP_DONE:
 * it now answers at once.
 */
enum step msg_wire_size_step(struct msg *m, struct err *e);
/*
 * For one who asks whether RFC822.SIZE is above or below `limit`: *low and *high,
 * between which it lies, are both on one side of it, or the same. Most messages
 * need not be counted for that: each stored byte becomes two at the most.
 */
enum step msg_wire_size_bounds(struct msg *m, uint64_t limit, uint64_t *low,
    uint64_t *high, struct err *e);
/* Up to `n` stored bytes at `off`; *got 0 at the end. */
int msg_read(
    struct msg *m, uint64_t off, void *p, size_t n, size_t *got, struct err *e);
/*
 * The raw header block of the message, blank line included, at most
 * MIME_HEADER_BLOCK_MAX; owned by the msg. Reads no further than it must.
 */
int msg_header(struct msg *m, struct str *out, struct err *e);
/* The header goes on behind the limit: its true length is in the tree. */
bool msg_header_is_cut(const struct msg *m);
/* The tree of parts; parsed once per msg; owned by the msg. */
int msg_parts(struct msg *m, struct part **out, struct err *e);
/* A few megabytes of that; STEP_DONE: msg_parts() now answers at once. */
enum step msg_parts_step(struct msg *m, struct err *e);
/*
 * UIDL text, and Dovecot's O order or 0. A stored one (P field) goes first, then,
 * when `format` begins with "xuidl:", the X-UIDL field, then the rest of
 * `format` as text/uidl_format.h has them, or "" for the default. What RFC 1939
 * does not allow becomes the default form; what is not the default form is
 * stored, so that it outlives a change of the setting. ERR_SYNTAX,
 * ERR_UNSUPPORTED: the format.
 */
int msg_pop3_uidl(struct msg *m, const char *format, struct arena *a,
    struct str *uidl, uint32_t *order, struct err *e);

#endif
