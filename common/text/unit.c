/* SPDX-License-Identifier: ISC */
/*
 * unit.c - numbers with a unit behind them.
 *
 * Owns:    nothing.
 * Runs in: every process that reads settings or options.
 * Trusts:  nothing in the text.
 * Spec:    restante.conf(5).
 */
#include "base/num.h"
#include "text/unit.h"

static const char *const WHAT[] = {
    "number", "time in seconds", "size in bytes"};
static const char *const POSSIBLE[] = {
    "there is none", "s, m, h or d", "K, M or G"};

/* The factor of a unit letter; 0 when the kind does not have it. */
static uint64_t
unit_factor(enum unit_kind kind, struct str unit)
{
	static const struct {
		enum unit_kind kind;
		const char *unit;
		uint64_t factor;
	} UNITS[] = {
	    {UNIT_SECONDS, "s", 1},
	    {UNIT_SECONDS, "m", 60},
	    {UNIT_SECONDS, "min", 60},
	    {UNIT_SECONDS, "h", 60 * 60},
	    {UNIT_SECONDS, "d", 24 * 60 * 60},
	    {UNIT_BYTES, "K", UINT64_C(1) << 10},
	    {UNIT_BYTES, "M", UINT64_C(1) << 20},
	    {UNIT_BYTES, "G", UINT64_C(1) << 30},
	};

	if (unit.n == 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(UNITS); i++)
		if (UNITS[i].kind == kind &&
		    str_eq_nocase(unit, str_of(UNITS[i].unit)))
			return UNITS[i].factor;
	return 0;
}

int
unit_parse(struct str value, enum unit_kind kind, uint64_t max, uint64_t *n,
    struct err *e)
{
	uint64_t number, factor;

	if (!num_cut_u64(&value, UINT64_MAX, &number))
		return err_set(e, ERR_SYNTAX, "must be a %s", WHAT[kind]);
	value = str_trim(value);
	factor = unit_factor(kind, value);
	if (factor == 0)
		return err_set(e, ERR_SYNTAX, "unknown unit '%.*s' (%s)",
		    STR_ARG(value), POSSIBLE[kind]);
	if (!num_mul(number, factor, &number) || number > max)
		return err_set(e, ERR_SYNTAX, "out of range: at most %llu",
		    (unsigned long long)max);
	*n = number;
	return 0;
}
