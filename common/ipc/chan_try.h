/* SPDX-License-Identifier: ISC */
/*
 * chan_try.h - one attempt to log in, or one look-up, in a child of its own.
 *
 * On the ends: authd and the spawner (TRY_NEW, TRY_CHILD, TRY_REFUSED); authd
 * and a child of the spawner (TRY_WORK, TRY_RESULT); master and such a child
 * that has become the holder of a PAM session (HOLD_*).
 *
 *	authd          spawner            child                master
 *	TRY_NEW ------>
 *	               forks -----------> (waits)
 *	<--- TRY_CHILD, far ends
 *	TRY_WORK ------------------------> judges
 *	<---------------------- TRY_RESULT
 *	GRANT, with the holder's far end --------------------->
 *	                                  <---------- HOLD_START
 *	                                  HOLD_STARTED ------->
 *	                                  HOLD_ENDED --------->
 *
 * The spawner is root and believes authd only this: that it wants a child of
 * one of three kinds. It never sees a name or a password. The child believes
 * what authd says about the attempt; authd believes a child's result, for the
 * child is where the truth is found. A child that ends without TRY_RESULT has
 * failed for now.
 */
#ifndef IPC_CHAN_TRY_H
#define IPC_CHAN_TRY_H

#include "base/bounds.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "ipc/msg.h"

/* Types of messages. */
enum chan_try_type {
	CHAN_TRY_NEW = 128,
	CHAN_TRY_CHILD = 129,
	CHAN_TRY_CHILD_HOLD = 130,
	CHAN_TRY_REFUSED = 131,
	CHAN_TRY_WORK = 132,
	CHAN_TRY_RESULT = 133,
	CHAN_HOLD_START = 134,
	CHAN_HOLD_STARTED = 135,
	CHAN_HOLD_ENDED = 136,
};

#define CHAN_TRY_FRAME_MAX 16384
#define CHAN_HOLD_FRAME_MAX (96 * 1024)
#define CHAN_TRY_TEXT_MAX 1024
#define CHAN_TRY_PATH_MAX 4000 /* not more than GRANT_PATH_MAX */
#define CHAN_TRY_EXTRA_MAX 1000
#define CHAN_TRY_KEY_MAX 64
#define CHAN_HOLD_ARGS_MAX 64

enum chan_try_kind {
	CHAN_TRY_PAM = 1, /* root; PAM and the name service */
	CHAN_TRY_PASSWD_FILE, /* the pass user; the file's descriptor */
	CHAN_TRY_LOOKUP, /* root; the name service alone */
};

/*
 * TRY_NEW  authd -> spawner, no descriptors
 *   u32  attempt  numbered by authd
 *   u32  kind     enum chan_try_kind
 *   bool hold     it may become a holder (PAM only): make a channel for master
 */
struct chan_try_new {
	uint32_t attempt;
	enum chan_try_kind kind;
	bool hold;
};

/*
 * TRY_CHILD  spawner -> authd, 1 descriptor: the far end of the child's channel
 *   u32  attempt
 *
 * TRY_CHILD_HOLD  the same where `hold` was asked for, 2 descriptors: behind the
 * first one the far end of the child's channel to master
 *   u32  attempt
 *
 * TRY_REFUSED  spawner -> authd, no descriptors: there is no child now
 *   u32  attempt
 */

enum chan_try_want {
	CHAN_TRY_VERIFY = 1, /* is this the password? */
	CHAN_TRY_KEYS, /* what SCRAM-SHA-256 needs of this user */
	CHAN_TRY_WHO, /* who the user is on this system, no password */
};

/*
 * TRY_WORK  authd -> child, no descriptors, once
 *   u32  want      enum chan_try_want
 *   str  name      1..255 bytes, from the allow-list, as the user is known here
 *   blob password  at most PASSWORD_MAX, no NUL; empty unless VERIFY
 *   str  service   "imap" or "pop3"
 *   str  rhost     the peer's address in text
 */
struct chan_try_work {
	enum chan_try_want want;
	struct str name, password, service, rhost;
};

enum chan_try_outcome {
	CHAN_TRY_OK = 1,
	CHAN_TRY_UNKNOWN, /* no such user in this source */
	CHAN_TRY_MISMATCH, /* not the password, or no reason given */
	CHAN_TRY_EXPIRED, /* right password, which must be changed */
	CHAN_TRY_LOCKED, /* right password, but the account is not usable */
	CHAN_TRY_UNAVAILABLE, /* could not find out */
};

/*
 * TRY_RESULT  child -> authd, no descriptors, once
 *   u32  outcome   enum chan_try_outcome
 *   str  text      for the log, may be empty
 *   str  name      canonical name; empty unless OK
 *   bool has_ids   uid and gid are known
 *   u32  uid, gid
 *   str  home      absolute or empty
 *   str  mail      a mail location or empty
 *   str  extra     settings for this user, lines "name=value\n", as in GRANT
 *   bool holding   waits on its channel to master
 *   u32  iter      SCRAM: 0 when there are no keys. Who is UNKNOWN gets
 *                  iterations and a salt too, like those of others
 *   blob salt, stored_key, server_key
 */
struct chan_try_result {
	enum chan_try_outcome outcome;
	bool has_ids, holding;
	uint32_t uid, gid, iter;
	struct str text, name, home, mail, extra;
	struct str salt, stored_key, server_key;
};

/*
 * HOLD_START  master -> holder, at most once: open the session and start this
 * process under it, as the user whom the holder has authenticated, with no
 * supplementary groups. Four descriptors: what becomes 0, 1 and 2; then those
 * that become CHILD_FD_MASTER, CHILD_FD_LOG, CHILD_FD_SETTINGS. When master
 * closes the channel instead, the child ends.
 *   str  path      the program
 *   u32  n_args    str each, argv[0] first
 *   u32  n_env     str each, NAME=value
 */
#define CHAN_HOLD_FDS 4
struct chan_hold_start {
	struct str path;
	uint32_t n_args, n_env;
	struct str args[CHAN_HOLD_ARGS_MAX], env[CHAN_HOLD_ARGS_MAX];
};

/*
 * HOLD_STARTED  holder -> master, 1 descriptor: a pidfd of the process
 *   u32  pid
 *
 * HOLD_ENDED  holder -> master, no descriptors: the process has ended or could
 * not be started; the session is closed and the holder ends
 *   u32  status    as wait(2) gives it
 *   str  text      why it could not be started, or empty
 */
struct chan_hold_ended {
	uint32_t status;
	struct str text;
};

struct chan_try_msg {
	enum chan_try_type type;
	union {
		struct chan_try_new new;
		struct chan_try_work work;
		struct chan_try_result result;
		struct chan_hold_start start;
		struct chan_hold_ended ended;
		uint32_t attempt; /* CHILD, CHILD_HOLD, REFUSED */
		uint32_t pid; /* HOLD_STARTED */
	};
};

/*
 * Writes one message into the emptied `out`. TRY_WORK and TRY_RESULT hold
 * secrets: wipe `out` after sending.
 */
void chan_try_write(const struct chan_try_msg *m, struct buf *out);
/*
 * Reads the fields of a message that msg_parse() has opened, all of them; slices
 * point into it. Checks that the number of descriptors fits the type. Fails
 * with ERR_VIOLATION.
 */
int chan_try_parse(struct msg_in *in, struct chan_try_msg *out, struct err *e);

#endif
