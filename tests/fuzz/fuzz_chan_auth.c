/* SPDX-License-Identifier: ISC */
/*
 * fuzz_chan_auth.c - what a login worker may send to authd, and the answers.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdint.h>

#include "base/assert.h"
#include "ipc/chan_auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_ip(struct str ip)
{
	return ip.n == 0 || ip.n == 4 || ip.n == 16;
}

static void
check_start(const struct chan_auth_start *s)
{
	ASSERT(s->mech.n > 0 && s->mech.n <= CHAN_AUTH_MECH_MAX);
	ASSERT(str_find(s->mech, '\0') == s->mech.n);
	ASSERT(s->initial.n <= SASL_BYTES_MAX);
	ASSERT(s->has_initial || s->initial.n == 0);
	ASSERT(s->service == CHAN_AUTH_IMAP || s->service == CHAN_AUTH_POP3);
	ASSERT(is_ip(s->peer_ip) && is_ip(s->local_ip));
	ASSERT(s->unique.n <= CHAN_AUTH_BINDING_MAX);
	ASSERT(s->exporter.n <= CHAN_AUTH_BINDING_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chan_auth_msg m;
	struct msg_in in;
	struct buf again;
	struct err e;

	if (msg_parse(str_make(data, size), &in, &e) == -1 ||
	    chan_auth_parse(&in, &m, &e) == -1)
		return 0;
	if (m.type == CHAN_AUTH_START)
		check_start(&m.start);
	/* There is one form of each message: what we write is what we read. */
	buf_init(&again, MSG_MAX_BYTES);
	chan_auth_write(&m, &again);
	ASSERT(str_eq(buf_str(&again), str_make(data, size)));
	buf_done(&again);
	return 0;
}
