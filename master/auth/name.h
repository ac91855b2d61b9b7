/* SPDX-License-Identifier: ISC */
/* name.h - which bytes may be a user name here. */
#ifndef AUTH_NAME_H
#define AUTH_NAME_H

#include "base/bounds.h"
#include "base/str.h"

/*
 * Copies `raw` into `out` as a user is known here: lower case unless
 * `keep_case`, no longer than USER_NAME_MAX, made of `chars` alone ("" means
 * letters, digits and ".-_@"), not beginning with "." or "-". False when it
 * can not be a name; then nobody has it.
 */
bool name_normalise(struct str raw, struct str chars, bool keep_case,
    char out[static USER_NAME_MAX + 1]);

#endif
