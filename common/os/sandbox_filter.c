/* SPDX-License-Identifier: ISC */
/*
 * sandbox_filter.c - a compiled system call filter as text, made once by master
 * for all mail processes: compiling one takes 3 ms, as much CPU as all the
 * rest of a user's first login.
 *
 * Owns:    nothing.
 * Runs in: master (writes), imapd and pop3d (read).
 * Trusts:  master. A text of another version's rules is left aside.
 *
 *	text = tag ":" code; tag: 16 digits, a hash of the profile's rules;
 *	code: the instructions, 16 digits each, all hexadecimal
 */
#include <linux/filter.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/sandbox.h"
#include "os/sandbox_impl.h"

#include "base/mem.h"
#include "base/num.h"

#define TAG_DIGITS 16
#define CODE_DIGITS 16
/* Rules that name the process itself; sanitized builds have none. */
#ifdef RESTANTE_SANITIZE
#define MARKS 0
#else
#define MARKS 1
#endif

int
sandbox_filter_text(
    enum sandbox_profile profile, struct buf *out, struct err *e)
{
	struct seccomp_program p = {0};

	if (seccomp_build_for_any(profile, &p, e) == -1)
		return -1;
	buf_addf(out, "%016llx:", (unsigned long long)seccomp_tag(profile));
	for (unsigned i = 0; i < p.n; i++)
		buf_addf(out, "%04x%02x%02x%08x", p.code[i].code, p.code[i].jt,
		    p.code[i].jf, p.code[i].k);
	free(p.code);
	return 0;
}

static bool
parse_number(struct str *s, size_t digits, uint64_t *out)
{
	struct str head = str_head(*s, digits);

	if (head.n < digits || !num_parse_hex64(head, out))
		return false;
	*s = str_skip(*s, digits);
	return true;
}

bool
sandbox_filter_parse(
    const char *text, enum sandbox_profile profile, struct seccomp_program *out)
{
	struct str s = str_of(text);
	uint64_t tag, word;
	unsigned marks = 0;

	if (!parse_number(&s, TAG_DIGITS, &tag) ||
	    tag != seccomp_tag(profile) || !str_starts(s, STR(":")))
		return false;
	s = str_skip(s, 1);
	if (s.n == 0 || s.n % CODE_DIGITS != 0 ||
	    s.n / CODE_DIGITS > BPF_MAXINSNS)
		return false;
	out->n = (unsigned short)(s.n / CODE_DIGITS);
	out->code = mem_new(out->n, sizeof(*out->code));
	for (unsigned i = 0; i < out->n; i++) {
		if (!parse_number(&s, CODE_DIGITS, &word))
			goto bad;
		out->code[i] = (struct sock_filter){
		    .code = (uint16_t)(word >> 48),
		    .jt = (uint8_t)(word >> 40),
		    .jf = (uint8_t)(word >> 32),
		    .k = (uint32_t)word,
		};
		/* The rule that a process may signal itself, and no other. */
		if (out->code[i].k == SECCOMP_ANY_PID) {
			out->code[i].k = (uint32_t)getpid();
			marks++;
		}
	}
	if (marks == MARKS)
		return true;
bad:
	free(out->code);
	*out = (struct seccomp_program){0};
	return false;
}
