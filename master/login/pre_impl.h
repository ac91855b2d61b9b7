/* SPDX-License-Identifier: ISC */
/* pre_impl.h - what the two protocols share inside the machine. */
#ifndef LOGIN_PRE_IMPL_H
#define LOGIN_PRE_IMPL_H

#include "login/pre.h"

/* One protocol. */
struct pre_protocol {
	void (*greet)(struct pre *p, struct buf *out);
	/*
	 * A line has ended. `command` is all of the command so far, `line` its
	 * last line, without line end; `rest` is what the client has sent
	 * behind it. False: more lines belong to this command.
	 */
	bool (*line)(struct pre *p, struct str command, struct str line,
	    struct str rest, struct buf *out);
	/* One challenge line. */
	void (*challenge)(struct str base64, struct buf *out);
	void (*auth_failed)(
	    struct pre *p, enum chan_auth_why why, struct buf *out);
	void (*refused)(
	    struct pre *p, enum handoff_reason reason, struct buf *out);
	/* Before closing, where the client is not waiting for something else */
	void (*bye)(struct pre *p, const char *text, struct buf *out);
};
extern const struct pre_protocol pre_imap, pre_pop3;

/* Of the service that the connection came to. */
const struct pre_protocol *pre_protocol_of(const struct pre *p);

/* The connection ends after `out` is sent; `why` (static) is for the log. */
void pre_close(struct pre *p, const char *why);
/* A command that could not be understood: too many of them end it. */
void pre_error(struct pre *p, struct buf *out);
/* Starts TLS unless something lies behind the command: then it closes. */
bool pre_start_tls(struct pre *p, struct str rest);
bool pre_find_mech(const struct pre *p, struct str name, enum pre_mech *out);
/* "PLAIN" with these two; false: a NUL in them, or too long. */
bool pre_start_password(struct pre *p, struct str user, struct str password);
/*
 * A SASL exchange; `initial` is base64 or "=", its p is NULL when there is none.
 * False: not base64.
 */
bool pre_start_sasl(struct pre *p, enum pre_mech mech, struct str initial);
/* The words of the next name in `s`, which it takes off; blanks around. */
struct str pre_cut_word(struct str *s);

#endif
