/* SPDX-License-Identifier: ISC */
/*
 * chan_key.h - a login worker (or the login parent, for its checks) has keyd
 * sign a handshake.
 *
 * On the ends: login worker, keyd. keyd believes nothing: it signs only what is
 * visibly the handshake of a TLS server, as often as one worker may need it. A
 * worker that asks for anything else is cut off. The worker trusts keyd.
 *
 * One request at a time; each KEY_SIGN is answered by one KEY_SIGNED or
 * KEY_FAILED.
 */
#ifndef IPC_CHAN_KEY_H
#define IPC_CHAN_KEY_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/msg.h"

/* Types of messages. */
enum {
	KEY_SIGN = 112,
	KEY_SIGNED = 113,
	KEY_FAILED = 114,
};

#define KEY_INPUT_MAX 512
#define KEY_SIGNATURE_MAX 1024
#define KEY_FRAME_MAX 2048
/* Files of one keyd, and so certificates of one login parent. */
#define KEY_FILES_MAX 32

/*
 * KEY_SIGN  worker -> keyd, no descriptors
 *   u32  number   of the key: that of keyd's CHILD_FILE "key"
 *   u16  scheme   IANA TLS SignatureScheme
 *   blob input    the whole content that the signature covers: RFC 8446
 *                 section 4.4.3, or client random, server random and
 *                 ServerECDHParams (RFC 8422 section 5.4)
 */
struct key_sign {
	uint32_t number;
	uint16_t scheme;
	struct str input;
};
void key_sign_write(const struct key_sign *m, struct buf *out);
int key_sign_parse(struct msg_in *in, struct key_sign *m, struct err *e);

/*
 * KEY_SIGNED  keyd -> worker: blob signature
 * KEY_FAILED  keyd -> worker: the request was well-formed, but there is no such
 *             key or it can not sign by this scheme; no fields
 */
void key_signed_write(struct str signature, struct buf *out);
int key_signed_parse(struct msg_in *in, struct str *signature, struct err *e);
void key_failed_write(struct buf *out);

#endif
