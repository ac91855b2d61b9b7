/* SPDX-License-Identifier: ISC */
/*
 * fuzz_pre_imap.c - IMAP before login, with a fake authd.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include "tests/lib/pre_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_session(LOGIN_IMAP, data, size);
	return 0;
}
