/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sasl.c - a client of each SASL mechanism.
 *
 * The first byte chooses mechanism and binding; then steps, each behind two
 * bytes of length. A length of 0xffff at the start: no initial response.
 *
 * Owns:    nothing.
 * Runs in: make fuzz, make check.
 * Trusts:  nothing.
 */
#include <stdint.h>

#include "auth/sasl.h"
#include "base/assert.h"
#include "base/bounds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str mechs[] = {STR_LIT("PLAIN"), STR_LIT("LOGIN"),
    STR_LIT("SCRAM-SHA-256"), STR_LIT("SCRAM-SHA-256-PLUS")};

/* The next step of the input; false at its end. */
static bool
next_step(struct str *in, struct str *step, bool *has)
{
	size_t n;

	if (in->n < 2)
		return false;
	n = (size_t)(unsigned char)in->p[0] << 8 | (unsigned char)in->p[1];
	*in = str_skip(*in, 2);
	*has = n != 0xffff;
	*step = str_head(*in, *has ? n : 0);
	*in = str_skip(*in, step->n);
	return true;
}

static void
check_password(const struct sasl *s, size_t mech)
{
	ASSERT(mech < 2);
	ASSERT(str_find(sasl_password(s), '\0') == sasl_password(s).n);
	ASSERT(str_find(sasl_name(s), '\0') == sasl_name(s).n);
	ASSERT(sasl_name(s).n > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sasl_lib *lib;
	static const char key[32];
	const struct sasl_keys keys = {.iter = 4096,
	    .salt = STR("0123456789abcdef"),
	    .stored = {key, sizeof(key)},
	    .server = {key, sizeof(key)}};
	struct str in = str_make(data, size), step;
	enum sasl_said said = SASL_CHALLENGE;
	struct sasl_binding b;
	struct sasl *s;
	struct buf out;
	struct err e;
	bool has;

	if (lib == NULL)
		ASSERT(sasl_lib_init(&lib, &e) == 0);
	if (size < 1)
		return 0;
	b = (struct sasl_binding){
	    .unique = data[0] & 4 ? STR("unique") : STR(""),
	    .exporter = data[0] & 8 ? STR("exporter") : STR(""),
	    .offered = (data[0] & 16) != 0};
	s = sasl_new(lib, mechs[data[0] & 3], &b);
	ASSERT(s != NULL);
	in = str_skip(in, 1);
	buf_init(&out, SASL_BYTES_MAX);
	while (said == SASL_CHALLENGE && next_step(&in, &step, &has)) {
		said = sasl_step(s, step, has, &out);
		if (said == SASL_NEEDS_KEYS) {
			ASSERT(sasl_name(s).n > 0);
			said = sasl_keys(s, &keys, &out);
		}
	}
	if (said == SASL_PASSWORD)
		check_password(s, data[0] & 3);
	/* Nobody knows a password to these keys. */
	ASSERT(said != SASL_PROVED);
	sasl_free(&s);
	buf_done(&out);
	return 0;
}
