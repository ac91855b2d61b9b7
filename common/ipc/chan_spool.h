/* SPDX-License-Identifier: ISC */
/*
 * chan_spool.h - a user's imapd or pop3d with spoold: the dotlock of the user's
 * file in the mail spool, and the file itself when there is none.
 *
 * On the ends: spoold; a mail process, whose channel master has made. Which file
 * it is, and for whom, spoold knows from master by the channel: nothing a mail
 * process says names a file. spoold trusts master, mail processes not at all.
 *
 * Master keeps spoold's end of each channel: when spoold ends, the next one gets
 * it, with what waits in it. What the old one had read and not answered is asked
 * again; of locks that it had made, the next one learns by UNLOCK and TOUCH, or
 * finds them by the process that they name.
 */
#ifndef IPC_CHAN_SPOOL_H
#define IPC_CHAN_SPOOL_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

/* Types of messages. */
enum {
	SPOOL_CLIENT = 144,
	SPOOL_LOCK = 145,
	SPOOL_UNLOCK = 146,
	SPOOL_TOUCH = 147,
	SPOOL_HELD = 148,
	SPOOL_BUSY = 149,
	SPOOL_REFUSED = 150,
	SPOOL_CUT = 151,
};

#define SPOOL_FRAME_MAX 1024
#define SPOOL_NAME_MAX 200
#define SPOOL_TEXT_MAX 240

/*
 * SPOOL_CLIENT  master -> spoold, 1 descriptor: this end of a mail process's
 *               channel
 *   u32 pid      of the process, which stands in its locks
 *   u32 sysuid, u32 sysgid
 *   str user     the file's name in the spool
 * An earlier channel of the same process is thereby over.
 */
struct spool_client_msg {
	uint32_t pid, sysuid, sysgid;
	struct str user;
};
void spool_client_write(const struct spool_client_msg *m, struct buf *out);
int spool_client_parse(
    struct msg_in *in, struct spool_client_msg *m, struct err *e);

/*
 * SPOOL_LOCK  process -> spoold: one attempt
 *   u32 ticket   comes back in the answer
 *   bool create  the file is made when it is not there, once it is locked
 * Answered by SPOOL_HELD (also when the process has it already), SPOOL_BUSY or
 * SPOOL_REFUSED.
 * SPOOL_UNLOCK, SPOOL_TOUCH  process -> spoold, no answer
 *   u64 dev, u64 ino   the lock file that it holds; ino 0: the one that it may
 *                have been given meanwhile
 */
struct spool_lock_msg {
	uint32_t ticket;
	bool create;
};
struct spool_which {
	uint64_t dev, ino;
};
void spool_lock_write(const struct spool_lock_msg *m, struct buf *out);
int spool_lock_parse(
    struct msg_in *in, struct spool_lock_msg *m, struct err *e);
void spool_which_write(
    uint16_t type, const struct spool_which *m, struct buf *out);
int spool_which_parse(struct msg_in *in, struct spool_which *m, struct err *e);

/*
 * SPOOL_HELD     spoold -> process: u32 ticket, u64 dev, u64 ino of the lock
 *                file
 * SPOOL_BUSY     spoold -> process: u32 ticket, u32 retry_ms, str holder
 * SPOOL_REFUSED  spoold -> process: u32 ticket, u8 code (enum err_code), str
 *                reason
 */
struct spool_held {
	uint32_t ticket;
	uint64_t dev, ino;
};
void spool_held_write(const struct spool_held *m, struct buf *out);
int spool_held_parse(struct msg_in *in, struct spool_held *m, struct err *e);
struct spool_busy {
	uint32_t ticket, retry_ms;
	struct str holder;
};
void spool_busy_write(const struct spool_busy *m, struct buf *out);
int spool_busy_parse(struct msg_in *in, struct spool_busy *m, struct err *e);
struct spool_refused {
	uint32_t ticket;
	enum err_code code;
	struct str reason;
};
void spool_refused_write(const struct spool_refused *m, struct buf *out);
int spool_refused_parse(
    struct msg_in *in, struct spool_refused *m, struct err *e);

/*
 * SPOOL_CUT  spoold -> master: u32 pid; this process sends what it must not:
 *            its channel is over
 */
void spool_cut_write(uint32_t pid, struct buf *out);
int spool_cut_parse(struct msg_in *in, uint32_t *pid, struct err *e);

#endif
