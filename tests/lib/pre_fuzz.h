/* SPDX-License-Identifier: ISC */
/*
 * pre_fuzz.h - a stranger's session with a fake authd, for fuzz_pre_imap and
 * fuzz_pre_pop3. The first byte chooses settings, the second what authd says;
 * the rest is what the client sends. Whole and byte by byte it must come to the
 * same, except at STARTTLS, where it matters what lies behind.
 */
#ifndef LIB_PRE_FUZZ_H
#define LIB_PRE_FUZZ_H

#include <stdlib.h>

#include "login/pre.h"

static struct pre_settings fuzz_settings;

static void
fuzz_must(bool holds)
{
	if (!holds)
		abort();
}

static void
fuzz_authd(struct pre *p, unsigned *answers, struct buf *out)
{
	static const enum chan_auth_why whys[] = {CHAN_AUTH_BAD,
	    CHAN_AUTH_UNAVAILABLE, CHAN_AUTH_EXPIRED, CHAN_AUTH_MALFORMED};
	unsigned answer = *answers & 3;

	*answers = *answers >> 2 | *answers << 6;
	if (p->want == PRE_DO_CANCEL) {
		pre_auth_fail(p, CHAN_AUTH_CANCELLED, out);
		return;
	}
	if (p->mech == PRE_MECH_PLAIN || p->mech == PRE_MECH_LOGIN)
		fuzz_must(pre_can_plain(p));
	if (answer == 0)
		pre_auth_ok(p);
	else if (answer == 1)
		pre_auth_more(p, str_make(p->sasl, p->n_sasl), out);
	else
		pre_auth_fail(p, whys[*answers & 3], out);
}

/* One call of pre_feed and what comes of it. Returns the bytes used. */
static size_t
fuzz_step(struct pre *p, struct str in, unsigned *answers, struct buf *all)
{
	struct buf out;
	size_t used;

	buf_init(&out, PRE_OUT_MAX);
	used = pre_feed(p, in, &out);
	fuzz_must(used <= in.n);
	fuzz_must(used > 0 || p->want != PRE_DO_READ);
	if (p->want == PRE_DO_TLS) {
		fuzz_must(used == in.n && p->n_line == 0 && !p->has_tls);
		pre_tls_started(p, true);
	}
	if (p->want == PRE_DO_START || p->want == PRE_DO_ANSWER ||
	    p->want == PRE_DO_CANCEL)
		fuzz_authd(p, answers, &out);
	fuzz_must(!buf_is_over(&out));
	fuzz_must(p->n_line <= PREAUTH_LINE_MAX && p->n_tag <= PRE_TAG_MAX);
	fuzz_must(memchr(out.p == NULL ? "" : out.p, '\0', out.n) == NULL);
	fuzz_must(out.n == 0 || out.p[out.n - 1] == '\n');
	(void)buf_add_str(all, buf_str(&out));
	buf_done(&out);
	return used;
}

static void
fuzz_talk(struct str in, uint8_t flags, unsigned answers, size_t step,
    struct buf *all, struct pre *p)
{
	pre_init(
	    p, &fuzz_settings, (flags & 1) != 0, true, (flags & 2) != 0, all);
	while (in.n > 0 && p->want == PRE_DO_READ) {
		size_t used = fuzz_step(p, str_head(in, step), &answers, all);

		in = str_skip(in, used);
	}
	if (p->want == PRE_DO_HANDOFF) {
		buf_addf(all, "<%.*s>", STR_ARG(str_make(p->tag, p->n_tag)));
		(void)buf_add_str(all, in);
		pre_refused(p, HANDOFF_FAILED, all);
	} else if (p->want == PRE_DO_READ)
		pre_timeout(p, all);
	fuzz_must(p->want == PRE_DO_CLOSE);
}

static void
fuzz_session(enum login_service service, const uint8_t *data, size_t size)
{
	static struct pre whole, bytes;
	struct buf a, b;
	struct str in;

	if (size < 2)
		return;
	fuzz_settings = (struct pre_settings){.service = service,
	    .offers_tls = (data[0] & 4) != 0,
	    .requires_tls = (data[0] & 8) != 0,
	    .allows_plain = (data[0] & 16) != 0,
	    .expire_days = -1,
	    .mechs = data[0] & 32 ? 4 : 15,
	    .greeting = "Ready."};
	in = str_make(data + 2, size - 2);
	buf_init(&a, (size_t)64 * 1024 * 1024);
	buf_init(&b, (size_t)64 * 1024 * 1024);
	fuzz_talk(in, data[0], data[1], SIZE_MAX, &a, &whole);
	fuzz_talk(in, data[0], data[1], 1, &b, &bytes);
	if (!fuzz_settings.offers_tls || whole.has_tls)
		fuzz_must(str_eq(buf_str(&a), buf_str(&b)));
	buf_done(&a);
	buf_done(&b);
}

#endif
