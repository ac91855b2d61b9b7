/* SPDX-License-Identifier: ISC */
/* pressure.h - has the machine enough to do already? */
#ifndef OS_PRESSURE_H
#define OS_PRESSURE_H

#include "base/base.h"

struct str;

/*
 * True when the load of the last minute is above `load_percent` for each
 * processor, or less memory than `memory_bytes` can be had without swapping. 0:
 * not looked at.
 */
bool pressure_is_high(uint32_t load_percent, uint64_t memory_bytes);

/* From /proc/meminfo: bytes of MemAvailable; false: it is not there. */
bool pressure_parse_meminfo(struct str text, uint64_t *bytes);

#endif
