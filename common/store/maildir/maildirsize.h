/* SPDX-License-Identifier: ISC */
/*
 * maildirsize.h - the running sum of a Maildir's quota, which delivery agents
 * keep in the file "maildirsize" of the root (formats.md 1.12).
 */
#ifndef STORE_MAILDIRSIZE_H
#define STORE_MAILDIRSIZE_H

#include "base/err.h"

/* Does this Maildir count? */
bool maildirsize_is_there(int rootfd);
/*
 * Adds a line for messages that came (positive) or went (negative); nothing
 * when there is no such file. A sum that could not be written is no reason to
 * fail: whoever reads the file next counts anew.
 */
void maildirsize_add(int rootfd, int64_t bytes, int64_t count);

#endif
