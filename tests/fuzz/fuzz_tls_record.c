/* SPDX-License-Identifier: ISC */
/*
 * fuzz_tls_record.c - records from a client that does what it likes.
 *
 * The input is a list of records: how to make each (sealed well with any type,
 * damaged, or raw bytes) and how the wire is cut into pieces. Data that was
 * sealed well before anything else arrives whole and in order; nothing arrives
 * behind what must be refused.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdlib.h>

#include "net/tls_record.h"
#include "tests/lib/tls_craft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t suites[][2] = {
    {0x0304, 0x1301},
    {0x0304, 0x1302},
    {0x0304, 0x1303},
    {0x0303, 0xc02c},
    {0x0303, 0xc02f},
    {0x0303, 0xcca9},
};

struct in {
	const uint8_t *p;
	size_t n;
};

static uint8_t
take(struct in *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static struct str
take_bytes(struct in *in, size_t n)
{
	struct str s;

	if (n > in->n)
		n = in->n;
	s = str_make(in->p, n);
	in->p += n;
	in->n -= n;
	return s;
}

struct plan {
	uint16_t version, suite;
	struct tls_direction d;
	uint64_t seq;
	struct buf wire;
	struct buf expected; /* data until something may be refused */
	bool certain; /* still sure of what arrives */
};

static void
add_record(struct plan *p, struct in *in)
{
	uint8_t how = take(in), type = take(in);
	size_t n = (size_t)take(in) << (how & 7), at = p->wire.n;
	struct str bytes = take_bytes(in, n);

	switch (how >> 6) {
	case 0: /* data */
		tls_craft(p->version, p->suite, &p->d, p->seq++, 23, bytes,
		    (how & 8) ? type : 0, &p->wire);
		if (p->certain && bytes.n <= 16384 - 256)
			buf_add_str(&p->expected, bytes);
		else
			p->certain = false;
		break;
	case 1: /* any type */
		tls_craft(p->version, p->suite, &p->d, p->seq++, 20 + type % 5,
		    bytes, 0, &p->wire);
		p->certain = false;
		break;
	case 2: /* damaged */
		tls_craft(p->version, p->suite, &p->d, p->seq++, 23, bytes, 0,
		    &p->wire);
		p->wire.p[at + type % (p->wire.n - at)] ^= (char)(how | 1);
		p->certain = false;
		break;
	default:
		buf_add_str(&p->wire, bytes);
		if (bytes.n > 0)
			p->certain = false;
		break;
	}
}

static void
check(struct plan *p, struct tls_record *t, size_t step)
{
	struct buf plain, answer;
	bool closed = false;
	struct err e;
	size_t at;
	int rc = 0;

	buf_init(&plain, 1 << 24);
	buf_init(&answer, 1 << 24);
	for (at = 0; at < p->wire.n && rc == 0 && !closed; at += step)
		rc = tls_record_open(t,
		    str_head(str_skip(buf_str(&p->wire), at), step), &plain,
		    &answer, &closed, &e);
	if (!str_starts(buf_str(&plain), buf_str(&p->expected)))
		abort();
	if (p->certain && (rc != 0 || plain.n != p->expected.n))
		abort();
	/* Answers are short, however much was asked. */
	if (answer.n > 40 * 64)
		abort();
	(void)tls_record_seal(t, STR("goodbye"), &answer, &e);
	tls_record_close(t, &answer);
	buf_done(&plain);
	buf_done(&answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = {data, size};
	struct plan p = {.certain = true};
	struct tls_state st = {0};
	struct tls_record *t;
	struct err e;
	size_t i, empty = 0, step;

	i = take(&in) % ARRAY_LEN(suites);
	p.version = st.version = suites[i][0];
	p.suite = st.suite = suites[i][1];
	step = (size_t)take(&in) * 37 + 1;
	p.d.key_len = (uint8_t)tls_craft_aead(p.suite)->key_size;
	if (p.version == 0x0304)
		p.d.secret_len = p.suite == 0x1302 ? 48 : 32;
	st.read = st.write = p.d;
	buf_init(&p.wire, 1 << 24);
	buf_init(&p.expected, 1 << 24);
	while (in.n > 0 && empty < 30) {
		size_t before = p.expected.n;

		add_record(&p, &in);
		/* A flood of empty records is refused. */
		empty = p.expected.n == before ? empty + 1 : 0;
	}
	if (tls_record_new(&st, &t, &e) == -1)
		abort();
	check(&p, t, step);
	tls_record_free(&t);
	tls_record_trim();
	buf_done(&p.wire);
	buf_done(&p.expected);
	return 0;
}
