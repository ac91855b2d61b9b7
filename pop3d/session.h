/* SPDX-License-Identifier: ISC */
/*
 * session.h - one POP3 session behind the login.
 *
 * OPENING --session_turn: maildrop loaded--> TRANSACTION --QUIT--> UPDATING
 * UPDATING --session_turn: done--> CLOSING --everything sent--> gone
 * OPENING, TRANSACTION --connection lost, timeout, kick--> gone, nothing removed
 */
#ifndef POP3D_SESSION_H
#define POP3D_SESSION_H

#include "base/arena.h"
#include "host/host.h"
#include "net/conn.h"
#include "net/line.h"
#include "pop3d/maildrop.h"
#include "store/msg.h"
#include "text/pop3_text.h"

struct session;

/* A reply that is longer than one turn: called until it is done. */
typedef enum step session_job_fn(struct session *s, struct err *e);

/* A message on its way out. */
struct sending {
	struct msg *msg;
	uint32_t uid;
	uint64_t size; /* as LIST has it */
	uint64_t off;
	struct line_stuff stuff;
	bool is_top;
	uint32_t lines_left; /* TOP: of the body */
	bool in_body; /* TOP: behind the blank line */
	bool line_has_text; /* TOP: the present line is not blank */
	char *piece;
	uint64_t piece_off; /* where what send_bytes_at() has read lies */
	size_t piece_n;
	/* For a client that knows only ASCII: headers that are sent another way. */
	struct arena arena;
	struct arena_mark mark; /* behind `headers`: of one piece */
	struct header_at *headers; /* ascending */
	size_t n_headers, header; /* all; those which are done */
	bool in_field, leaves_out; /* amidst a long one, which is not sent */
	bool looks_for_parts, is_native; /* see surrogate.c */
	uint64_t looked; /* bytes */
};

/* A header that may have to be sent another way. */
struct header_at {
	uint64_t off, end;
};

#define PIECE_BYTES ((size_t)32 * 1024) /* of sending.piece */

struct session {
	struct host *host;
	struct conn *conn;
	struct maildrop drop;
	struct store_waiter waiter; /* for a lock */
	enum {
		SESSION_OPENING,
		SESSION_TRANSACTION,
		SESSION_UPDATING,
		SESSION_CLOSING,
	} state;
	session_job_fn *job; /* of the command that is being answered */
	int64_t turn_ends_ms;
	bool skipping; /* the rest of a line that was too long */
	bool abandoned; /* the client has gone during UPDATING */
	unsigned errors_in_a_row;

	struct sending out;
	uint32_t list_at; /* LIST, UIDL: number done last */

	struct maildrop_way way;
	char uidl[200];
	bool no_nuls, add_eoh, has_last; /* settings */
	uint32_t login_delay_s;
	bool is_utf8; /* the client has said UTF8 (RFC 6856) */
	enum pop3_lang lang, preferred_lang;
	/* for the log */
	uint32_t top_count, retr_count, removed;
	uint64_t top_bytes, retr_bytes;
	char why[80];
};

/* What the host calls for a POP3 session. */
extern const struct host_ops session_ops;

/* "+OK text" and "-ERR text" with CRLF. Each returns STEP_DONE. */
enum step session_ok(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "+OK" and a text whose only conversion is "%llu", which stands for `n`. */
enum step session_ok_number(struct session *s, const char *english, uint64_t n);
enum step session_err(struct session *s, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* The answer to this command is not finished: `job` goes on with it. */
enum step session_go_on(struct session *s, session_job_fn *job);
/* No more time in this turn, or no room in the connection. */
bool session_must_yield(const struct session *s);

/* ---- delay.c ---- */

/*
 * Seconds that are left until this user may log in again; 0: now.
 */
uint32_t delay_left(const char *state_dir, uint32_t delay_s);
/* He has logged in: the time runs from here. */
void delay_begin(const char *state_dir);

/* ---- surrogate.c ---- */

/*
 * Up to `want` bytes of the message at `off`, at most PIECE_BYTES; none at
 * its end. Borrowed until the next call.
 */
int send_bytes_at(struct sending *o, uint64_t off, size_t want, struct str *out,
    struct err *e);
/*
 * Before the first byte of a message: what of it has to be sent another way to
 * this client. STEP_MORE: call again.
 */
enum step surrogate_look(struct session *s, struct err *e);
/*
 * Does a header lie at o->off? Else *until is where the next one begins,
 * UINT64_MAX: there is none.
 */
bool surrogate_is_here(struct sending *o, uint64_t *until);
/*
 * Then `stored` bytes of it are sent as *text, which is valid until the next
 * call; 0: the message has become shorter.
 */
int surrogate_next(
    struct sending *o, struct str *text, size_t *stored, struct err *e);

/* ---- command.c ---- */

/* Answers one command line. STEP_MORE: a job has been set. */
enum step command_run(struct session *s, struct str line);

/* ---- send.c ---- */

/* Begins RETR (lines < 0) or TOP; has said +OK or -ERR. */
enum step send_begin(struct session *s, struct maildrop_msg *m, int64_t lines);
/* The session ends in the middle of it. */
void send_abandon(struct session *s);

#endif
