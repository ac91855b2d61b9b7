/* SPDX-License-Identifier: ISC */
/*
 * tls_record.c - carries a TLS session on. So far it refuses every suite.
 */
#include "net/tls_record.h"

int
tls_record_new(UNUSED const struct tls_state *st,
    UNUSED struct tls_record **out, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED, "no cipher suites yet");
}

void
tls_record_free(struct tls_record **t)
{
	*t = NULL;
}

int
tls_record_open(UNUSED struct tls_record *t, UNUSED struct str bytes,
    UNUSED struct buf *plain, UNUSED struct buf *wire, UNUSED bool *closed,
    struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED, "no cipher suites yet");
}

int
tls_record_seal(UNUSED struct tls_record *t, UNUSED struct str plain,
    UNUSED struct buf *wire, struct err *e)
{
	return err_set(e, ERR_UNSUPPORTED, "no cipher suites yet");
}

void
tls_record_close(UNUSED struct tls_record *t, UNUSED struct buf *wire)
{
}

size_t
tls_record_overhead(UNUSED const struct tls_record *t)
{
	return 0;
}
