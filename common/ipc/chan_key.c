/* SPDX-License-Identifier: ISC */
/*
 * chan_key.c - requests for signatures and their answers.
 *
 * Owns:    nothing.
 * Runs in: login workers, keyd.
 * Trusts:  nothing it parses.
 */
#include "ipc/chan_key.h"

void
key_sign_write(const struct key_sign *m, struct buf *out)
{
	msg_begin(out, KEY_SIGN, 0);
	msg_put_u32(out, m->number);
	msg_put_u16(out, m->scheme);
	msg_put_blob(out, m->input);
}

int
key_sign_parse(struct msg_in *in, struct key_sign *m, struct err *e)
{
	struct key_sign got = {0};

	got.number = msg_get_u32(in);
	got.scheme = msg_get_u16(in);
	got.input = msg_get_blob(in, KEY_INPUT_MAX);
	if (msg_end(in, e) == -1)
		return -1;
	*m = got;
	return 0;
}

void
key_signed_write(struct str signature, struct buf *out)
{
	msg_begin(out, KEY_SIGNED, 0);
	msg_put_blob(out, signature);
}

int
key_signed_parse(struct msg_in *in, struct str *signature, struct err *e)
{
	struct str got = msg_get_blob(in, KEY_SIGNATURE_MAX);

	if (got.n == 0)
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return -1;
	*signature = got;
	return 0;
}

void
key_failed_write(struct buf *out)
{
	msg_begin(out, KEY_FAILED, 0);
}
