/* SPDX-License-Identifier: ISC */
/*
 * chan_child.h - what master and each of its service processes (login parent,
 * keyd, authd, spawner, logd, spoold) say to each other at start and end.
 *
 * On the ends: master; a service process, on its descriptor 3. Master is the
 * more trusted one: it checks what comes and kills a child that breaks the
 * rules; a child that receives nonsense from master ends.
 *
 * Order: master sends CHILD_PEER, CHILD_FILE and what the child's own header
 * adds (LOGIN_LISTENER, ...), then CHILD_GO. The child prepares, confines
 * itself and answers CHILD_READY, or CHILD_FAILED and exits. CHILD_PEER and
 * CHILD_FILE may come again later: another worker, another log file.
 */
#ifndef IPC_CHAN_CHILD_H
#define IPC_CHAN_CHILD_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

/* Types of messages: numbers are of all channels together. */
enum {
	CHILD_PEER = 1,
	CHILD_FILE = 2,
	CHILD_GO = 3,
	CHILD_READY = 4,
	CHILD_FAILED = 5,
	CHILD_STOP = 6,
};

#define CHILD_FRAME_MAX 2048
#define CHILD_TEXT_MAX 1000

/* Who is at the other end of a channel that arrives. */
enum child_kind {
	CHILD_KIND_WORKER = 1, /* a login worker; number: which */
	CHILD_KIND_AUTHD,
	CHILD_KIND_SPAWNER,
	CHILD_KIND_KEYD,
	CHILD_KIND_USER, /* an imapd or pop3d; number: its process id */
	/* To keyd: a worker, whose channel a new login parent first uses to
	 * check its certificates; number: which. */
	CHILD_KIND_FIRST_WORKER,
};
#define CHILD_KIND_LAST CHILD_KIND_FIRST_WORKER

/*
 * CHILD_PEER  master -> child, 1 descriptor: this end of a channel to `kind`
 *   u8  kind
 *   u32 number   for a worker its number, for a user its process id, else 0
 * An earlier channel of the same kind (and number) is thereby over.
 */
struct child_peer {
	enum child_kind kind;
	uint32_t number;
};
void child_peer_write(const struct child_peer *m, struct buf *out);
int child_peer_parse(struct msg_in *in, struct child_peer *m, struct err *e);

/*
 * CHILD_FILE  master -> child, 1 descriptor: a file opened for the child
 *   str role    "key", "log", "penalty" (memory for authd that outlives it),
 *               ...: see the child's header
 *   u32 number  tells several files of one role apart
 *   str path    for messages only; the child could not open it
 */
struct child_file {
	struct str role, path;
	uint32_t number;
};
void child_file_write(const struct child_file *m, struct buf *out);
int child_file_parse(struct msg_in *in, struct child_file *m, struct err *e);

/*
 * CHILD_GO, CHILD_READY  no fields
 * CHILD_FAILED  child -> master: str reason, for the administrator
 * CHILD_STOP    master -> child: str why; finish what runs, then exit
 */
void child_go_write(struct buf *out);
void child_ready_write(struct buf *out);
void child_failed_write(struct str reason, struct buf *out);
void child_stop_write(struct str why, struct buf *out);
/* Of CHILD_GO and CHILD_READY. */
int child_empty_parse(struct msg_in *in, struct err *e);
/* Of CHILD_FAILED and CHILD_STOP. */
int child_text_parse(struct msg_in *in, struct str *text, struct err *e);

#endif
