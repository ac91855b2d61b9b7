/* SPDX-License-Identifier: ISC */
/*
 * tls_pair.h - two ends of a TLS connection with known keys, for tests of the
 * record layer.
 */
#ifndef TESTS_LIB_TLS_PAIR_H
#define TESTS_LIB_TLS_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "net/tls_record.h"
#include "tests/lib/tls_craft.h"

static UNUSED const char message[] = "* 1 FETCH (FLAGS (\\Seen))\r\n";

static UNUSED size_t
from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	uint64_t byte;

	for (; hex[0] != '\0'; hex += 2) {
		assert_true(num_parse_hex64(str_make(hex, 2), &byte));
		out[n++] = (uint8_t)byte;
	}
	return n;
}

/*
 * Records made by another implementation (OpenSSL's AEADs through a script,
 * labels expanded there). 1.3: the secret is 00 01 02 ...; 1.2: the key is
 * 40 41 42 ..., the nonce c8 c9 ca ...
 */
static UNUSED const struct answer {
	uint16_t version, suite;
	uint64_t seq;
	const char *key, *iv, *record;
} answers[] = {
    {0x0304, 0x1301, 7, "9c9783cf77ea32d44f369da41f19f3cc",
	"2f41c846a431a163814bcd71",
	"170303002c58a5d8126e0dc718e5bfffbd38df9d7d4fd17650f48ad988829a867248"
	"b712eea59afb2d10fc1dceb5e651c9"},
    {0x0304, 0x1302, 7,
	"6877d022f1c61d24ebb7487c16752d9a4798e40431c75b39320e537c90e23225",
	"42822531a0fe88648fc09e9f",
	"170303002ce447031bbecf960db2c3161c4319746423b067d93862ae00d5f8d315d6"
	"3801f42d4da9cdca94262c2adf0bc5"},
    {0x0304, 0x1303, 7,
	"2ffbc449e87844051c7768f61ffd8ad070830f01ec2c520ef65f08e8296dffa0",
	"2f41c846a431a163814bcd71",
	"170303002c046d949e2b605b972f9fcda34b7e040d5f6df9c3ba4af7aee6adccf319"
	"ef57ecb2c49f9e44d2f36a04eeb8fe"},
    {0x0303, 0xc02f, 7, "404142434445464748494a4b4c4d4e4f", "c8c9cacb",
	"170303003300000000000000076ae6b9910e45b9595d85939d5d80d5ae2f10973cde"
	"14727d7dc65e695cefbf3ca42fd3f72615ca7d8914f3"},
    {0x0303, 0xc02c, 7,
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
	"c8c9cacb",
	"170303003300000000000000074e93c2e0f6e4e2b99635a0f9f8a48630b9b9b6e341"
	"cc6f714842337d4935f41860355ef3a7624bee10d944"},
    {0x0303, 0xcca9, 7,
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f",
	"c8c9cacbcccdcecfd0d1d2d3",
	"170303002bf90437c1b201cee56028539ef6702e42548f2897210adf18b309dfc9cf"
	"2cb7b784d22e9eea64c07d6d42f3"},
};

static UNUSED struct tls_direction
direction(const struct answer *a)
{
	struct tls_direction d = {.seq = a->seq};
	size_t i;

	d.key_len = (uint8_t)from_hex(a->key, d.key);
	(void)from_hex(a->iv, d.iv);
	if (a->version == 0x0304) {
		d.secret_len = a->suite == 0x1302 ? 48 : 32;
		for (i = 0; i < d.secret_len; i++)
			d.secret[i] = (uint8_t)i;
	}
	return d;
}

static UNUSED struct tls_record *
record_for(const struct answer *a)
{
	struct tls_state st = {
	    .version = a->version,
	    .suite = a->suite,
	    .read = direction(a),
	    .write = direction(a),
	};
	struct tls_record *t;
	struct err e;

	assert_int_equal(tls_record_new(&st, &t, &e), 0);
	return t;
}

struct pair {
	struct tls_record *us, *peer;
	struct buf plain, wire, peer_wire, peer_plain;
	struct err e;
	bool closed;
};

static UNUSED void
pair_init(struct pair *p, const struct answer *a)
{
	memset(p, 0, sizeof(*p));
	p->us = record_for(a);
	p->peer = record_for(a);
	buf_init(&p->plain, 1 << 24);
	buf_init(&p->wire, 1 << 24);
	buf_init(&p->peer_wire, 1 << 24);
	buf_init(&p->peer_plain, 1 << 24);
}

static UNUSED void
pair_done(struct pair *p)
{
	tls_record_free(&p->us);
	tls_record_free(&p->peer);
	buf_done(&p->plain);
	buf_done(&p->wire);
	buf_done(&p->peer_wire);
	buf_done(&p->peer_plain);
	tls_record_trim();
}

/* What the peer has written goes to us. */
static UNUSED int
deliver(struct pair *p)
{
	int rc = tls_record_open(p->us, buf_str(&p->peer_wire), &p->plain,
	    &p->wire, &p->closed, &p->e);

	buf_clear(&p->peer_wire);
	return rc;
}

/* And back. */
static UNUSED int
deliver_back(struct pair *p)
{
	int rc = tls_record_open(p->peer, buf_str(&p->wire), &p->peer_plain,
	    &p->peer_wire, &p->closed, &p->e);

	buf_clear(&p->wire);
	return rc;
}

/* Adds a record to what the peer has written. */
static UNUSED void
craft(struct pair *p, const struct answer *a, uint64_t *seq, uint8_t type,
    const void *bytes, size_t n, size_t padding)
{
	struct tls_direction d = direction(a);

	tls_craft(a->version, a->suite, &d, (*seq)++, type, str_make(bytes, n),
	    padding, &p->peer_wire);
}

#endif
