/* SPDX-License-Identifier: ISC */
/*
 * fuzz_key.c - what keyd and a login worker hear from each other: frames, and
 * the form of what is to be signed.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "base/bounds.h"
#include "ipc/chan_key.h"
#include "key/key_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const struct buf *b, const uint8_t *data, size_t size)
{
	if (!str_eq(buf_str(b), str_make(data, size)))
		abort();
}

/* No bytes may be good for two purposes. */
static void
judge(struct str input)
{
	enum key_input kind = key_input_kind(input);

	if (kind == KEY_INPUT_TLS13 && input.n != 130 && input.n != 146)
		abort();
	if (kind == KEY_INPUT_TLS12 &&
	    (input.n < 100 || input.n > 201 || input.p[64] != 3))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct key_sign request;
	struct str signature;
	struct msg_in in;
	struct buf b;
	struct err e;

	judge(str_make(data, size));
	if (msg_parse(str_make(data, size), &in, &e) == -1 || in.n_fds != 0)
		return 0;
	buf_init(&b, MSG_MAX_BYTES);
	if (in.type == KEY_SIGN && key_sign_parse(&in, &request, &e) == 0) {
		judge(request.input);
		key_sign_write(&request, &b);
		same(&b, data, size);
	} else if (in.type == KEY_SIGNED &&
	    key_signed_parse(&in, &signature, &e) == 0) {
		key_signed_write(signature, &b);
		same(&b, data, size);
	}
	buf_done(&b);
	return 0;
}
