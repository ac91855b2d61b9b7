/* SPDX-License-Identifier: ISC */
/* glob.h - the patterns of LIST: "*" and "%" (RFC 3501 section 6.3.8). */
#ifndef TEXT_GLOB_H
#define TEXT_GLOB_H

#include "base/str.h"

/*
 * Does the whole `name` match? "*" stands for anything, "%" for anything
 * without `delimiter`. INBOX as the first level matches in any case.
 */
bool glob_match(struct str pattern, struct str name, char delimiter);

#endif
