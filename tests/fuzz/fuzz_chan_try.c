/* SPDX-License-Identifier: ISC */
/*
 * fuzz_chan_try.c - messages between authd, the spawner, its children, master.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdint.h>

#include "base/assert.h"
#include "ipc/chan_try.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_work(const struct chan_try_work *w)
{
	ASSERT(w->name.n > 0 && w->name.n <= USER_NAME_MAX);
	ASSERT(w->password.n <= PASSWORD_MAX);
	ASSERT(str_find(w->password, '\0') == w->password.n);
}

static void
check_result(const struct chan_try_result *r)
{
	bool ok = r->outcome == CHAN_TRY_OK;

	ASSERT(ok == (r->name.n > 0));
	ASSERT(ok || (!r->has_ids && !r->holding));
	ASSERT(r->home.n == 0 || r->home.p[0] == '/');
	ASSERT(
	    r->home.n <= CHAN_TRY_PATH_MAX && r->mail.n <= CHAN_TRY_PATH_MAX);
	ASSERT(r->salt.n <= CHAN_TRY_KEY_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct chan_try_msg m;
	struct msg_in in;
	struct buf again;
	struct err e;

	if (msg_parse(str_make(data, size), &in, &e) == -1 ||
	    chan_try_parse(&in, &m, &e) == -1)
		return 0;
	if (m.type == CHAN_TRY_WORK)
		check_work(&m.work);
	else if (m.type == CHAN_TRY_RESULT)
		check_result(&m.result);
	else if (m.type == CHAN_HOLD_START)
		ASSERT(m.start.n_args >= 1 && m.start.path.p[0] == '/');
	buf_init(&again, MSG_MAX_BYTES);
	chan_try_write(&m, &again);
	ASSERT(str_eq(buf_str(&again), str_make(data, size)));
	buf_done(&again);
	return 0;
}
