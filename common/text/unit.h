/* SPDX-License-Identifier: ISC */
/* unit.h - numbers with a unit behind them, as people write them in settings. */
#ifndef TEXT_UNIT_H
#define TEXT_UNIT_H

#include "base/err.h"
#include "base/str.h"

enum unit_kind {
	UNIT_NONE, /* digits alone */
	UNIT_SECONDS, /* s, m or min, h, d */
	UNIT_BYTES, /* K, M, G: 1024, ... */
};

/*
 * "30m" is 1800 with UNIT_SECONDS, 31457280 with UNIT_BYTES. Letters may be
 * large or small, blanks may stand before them. ERR_SYNTAX when it is no number,
 * the unit is another one, or *n would be over `max`.
 */
int unit_parse(struct str value, enum unit_kind kind, uint64_t max, uint64_t *n,
    struct err *e);

#endif
