/* SPDX-License-Identifier: ISC */
/* imap_date.h - date and date-time as text (RFC 3501 section 9). */
#ifndef IMAP_IMAP_DATE_H
#define IMAP_IMAP_DATE_H

#include "base/str.h"

/* Bytes of "dd-Mon-yyyy hh:mm:ss +zzzz" and a NUL. */
#define IMAP_DATE_TIME_SIZE 27

/*
 * date-text: "1-Feb-1994". *day: days since 1970-01-01, negative before.
 * A day that its month does not have is refused.
 */
bool imap_date_parse(struct str s, int32_t *day);
/*
 * date-time without its quotes: " 7-Feb-1994 21:52:25 -0800". *time_s: seconds
 * since 1970 UTC; *zone_min: the zone as written, in minutes east. A day of one
 * digit may also stand without the blank before it.
 */
bool imap_date_time_parse(struct str s, int64_t *time_s, int *zone_min);
/*
 * Writes date-time without quotes, in that zone (-1439..1439), with its NUL.
 * Years outside 0..9999 become the nearest moment that can be written.
 */
void imap_date_time_write(
    int64_t time_s, int zone_min, char out[IMAP_DATE_TIME_SIZE]);
/* The same in the zone of this host at that time. */
void imap_date_time_write_local(int64_t time_s, char out[IMAP_DATE_TIME_SIZE]);
/* The day of a moment in a zone, as imap_date_parse counts it. */
int32_t imap_date_day(int64_t time_s, int zone_min);

#endif
