/* SPDX-License-Identifier: ISC */
/* clock.h - monotonic and wall time, replaceable in tests. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

/* Milliseconds that only grow; for deadlines. */
int64_t clock_mono_ms(void);
/* Wall time in microseconds since 1970. */
int64_t clock_wall_us(void);
/* Wall time in seconds since 1970. */
int64_t clock_wall_s(void);
/* Tests: from now on these values; -1 gives the kernel's clock back. */
void clock_set_for_test(int64_t mono_ms, int64_t wall_us);

#endif
