/* SPDX-License-Identifier: ISC */
/*
 * session.h - everything one client's session has.
 *
 * AUTH --select_open--> SELECTED --select_close--> AUTH
 * AUTH, SELECTED --logout, error, timeout--> gone
 */
#ifndef IMAPD_SESSION_H
#define IMAPD_SESSION_H

#include "base/arena.h"
#include "base/buf.h"
#include "net/conn.h"
#include "store/mailbox.h"
#include "imapd/command.h"
#include "imapd/fetch_cache.h"
#include "imapd/filter_job.h"

struct host;

struct session {
	struct host *host;
	struct conn *conn; /* output; input belongs to client.c */
	struct store *store; /* shared with the user's other sessions */
	struct view *view; /* NULL: nothing selected */
	bool read_only; /* EXAMINE, or the mailbox can not be changed */
	struct arena arena; /* of the session */
	struct buf out; /* small pieces are put together here... */
	bool utf8, imap4rev2; /* ENABLEd (UTF8=ACCEPT, IMAP4rev2) */
	bool condstore; /* modseq.h: the client knows of mod-sequences */
	bool qresync; /* ENABLEd */
	bool uid_only; /* ENABLEd: no sequence numbers at all (RFC 9586) */
	struct set32 vanished; /* UIDs, while changes are being told */
	struct set32 saved; /* UIDs that "$" stands for */
	const char *user, *remote_ip;
	size_t keywords_told; /* of the view's mailbox, in FLAGS replies */
	unsigned rights_told; /* on it, in PERMANENTFLAGS */
	uint64_t append_max_bytes;
	int64_t progress_ms; /* between notices of progress */
	bool literal_minus; /* LITERAL- is announced, not LITERAL+ (RFC 7888) */
	uint32_t message_limit, save_limit; /* limit.h; 0: none */
	bool append_8bit; /* in headers, also from those who enable nothing */
	bool logout; /* the session ends after the present reply */
	bool lost; /* the selected mailbox can not be served on */
	/* habit.h: what is done another way for this mail program */
	unsigned habits;
	bool knows_clients;
	struct str client_name; /* as in ID, without blanks; in the next */
	char client_room[64];
	bool metadata_on, metadata_server_on; /* ENABLEd (RFC 5464) */
	struct metadata *metadata; /* metadata.h; NULL: neither */
	struct fetch_cache fetch_cache; /* dropped before the view is closed */
	struct filter_job filter_job; /* stopped before that */
	struct notify *notify; /* NULL: NOTIFY was never used */
	struct contexts *contexts; /* NULL: no search is kept up to date */
};

/* May this client be sent UTF-8 (RFC 9755 section 3, RFC 9051 section 9)? */
static inline bool
session_has_utf8(const struct session *s)
{
	return s->utf8 || s->imap4rev2;
}

/* Not selected; `h` and `conn` are the client's. */
void session_init(struct session *s, struct host *h, struct conn *conn);
void session_done(struct session *s);
/* view_flags() as this client knows flags: no \Recent in IMAP4rev2. */
bool session_flags(struct session *s, uint32_t uid, struct flags *out);
/* The view becomes the selected mailbox. */
void session_select(struct session *s, struct view *v);
/* Its name, which follows a RENAME; "" when none is selected. Borrowed. */
struct str session_mailbox(const struct session *s);
/* Leaves the selected mailbox, if there is one. */
void session_unselect(struct session *s);

/* ...and session_send() moves them to the connection. */
void session_send(struct session *s);

/*
 * The set of a command's message numbers as UIDs of the view, sequence
 * numbers or UIDs by c->uid. UIDs that are not there are silently left out;
 * a sequence number out of range, or bad grammar: false (answer BAD). "$" is
 * the last saved result of a search (RFC 5182).
 */
bool session_parse_set(struct cmd *c, struct str text, struct set32 *uids);
/* What to tell the client of a set that session_parse_set() refused. */
const char *session_set_fault(struct cmd *c, struct str text);

/*
 * UIDs of the view as the client counts them: UIDs by c->uid, else sequence
 * numbers. Neighbours in `uids` must be so in the view.
 */
void session_numbers(
    struct cmd *c, const struct set32 *uids, struct set32 *out);

/*
 * The same for search keys; `uid` says how the numbers are meant. Numbers out of
 * range match nothing (RFC 7377 section 2). With no mailbox selected only the
 * grammar is judged.
 */
bool session_parse_set_as(
    struct cmd *c, struct str text, bool uid, struct set32 *uids);

#endif
