/* SPDX-License-Identifier: ISC */
/*
 * maildirsize.h - the running sum of a Maildir's quota, which delivery agents
 * keep in the file "maildirsize" of the root (formats.md 1.12): a first line
 * with the limits, then lines of what came and went.
 */
#ifndef STORE_MAILDIRSIZE_H
#define STORE_MAILDIRSIZE_H

#include "base/err.h"
#include "base/str.h"
#include "os/file.h"
#include "text/quota_limits.h"

/* A larger file is time to count anew (Courier's number). */
#define MAILDIRSIZE_LARGE 5120

struct maildirsize {
	struct quota_limits limits;
	int64_t bytes, count; /* sums; never negative */
	uint32_t n_lines; /* of data */
	bool is_large;
	int64_t mtime_s;
};

/* Pure. ERR_CORRUPT, also when the sums are negative. */
int maildirsize_parse(struct str text, struct maildirsize *out, struct err *e);
/* ERR_NOT_FOUND; ERR_CORRUPT: to be counted anew. */
int maildirsize_load(int rootfd, struct maildirsize *out, struct err *e);
/* A new file with one line of data, put in the place of the old one. */
int maildirsize_save(int rootfd, const char *temp,
    const struct quota_limits *limits, int64_t bytes, int64_t count,
    const struct file_perm *perm, struct err *e);
/* It is not quite right: removes it, or makes it look too old. */
void maildirsize_doubt(int rootfd, bool may_go);

/* Does this Maildir count? */
bool maildirsize_is_there(int rootfd);
/*
 * Adds a line for messages that came (positive) or went (negative); nothing
 * when there is no such file. A sum that could not be written is no reason to
 * fail: whoever reads the file next counts anew.
 */
void maildirsize_add(int rootfd, int64_t bytes, int64_t count);

#endif
