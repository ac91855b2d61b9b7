/* SPDX-License-Identifier: ISC */
/*
 * keywords.h - "dovecot-keywords" (letters a..z of file names) and, from the
 * 27th keyword on, "restante-keywords" (names and whole sets per message).
 */
#ifndef STORE_KEYWORDS_H
#define STORE_KEYWORDS_H

#include "os/file.h"
#include "base/arena.h"

#define KEYWORDS_FILE "dovecot-keywords"
#define MORE_KEYWORDS_FILE "restante-keywords"
#define MORE_KEYWORDS_MAX 4096 /* numbers 26 .. 26 + this - 1 */

/* Called for each "index name" line that counts. */
typedef void keywords_fn(void *arg, size_t number, struct str name);
/* Called for each set of a message, in the order of the file. */
typedef void keywords_set_fn(
    void *arg, struct str base, const uint16_t *numbers, size_t n);

/* Can `name` be written into the files? */
bool keywords_is_name(struct str name);
/* Pure: the lines of dovecot-keywords. */
void keywords_parse(struct str bytes, keywords_fn *fn, void *arg);
/*
 * Pure: the lines of restante-keywords, only whole ones; returns the bytes of
 * whole lines, 0 when it is not such a file. `is_start`: with the version line.
 */
size_t keywords_parse_more(struct str bytes, bool is_start, keywords_fn *fn,
    keywords_set_fn *set_fn, void *arg);
/* The line "m 26,31 base" or "m - base". */
bool keywords_put_set(
    struct buf *out, struct str base, const uint16_t *numbers, size_t n);

/* Reads dovecot-keywords when it has changed since `stamp`. */
int keywords_load(int dirfd, struct file_stamp *stamp, keywords_fn *fn,
    void *arg, struct err *e);
/*
 * Writes it anew, with the names of the numbers 0..25 (NULL: none); under the
 * uidlist lock.
 */
int keywords_save(int dirfd, const struct file_perm *perm,
    char *const names[26], struct file_stamp *stamp, struct err *e);
/* As keywords_load; *read: what was read of the file already. */
int keywords_load_more(int dirfd, struct file_stamp *stamp,
    struct file_tail *read, keywords_fn *fn, keywords_set_fn *set_fn, void *arg,
    struct err *e);
/* Appends whole lines, making the file if need be; under the uidlist lock. */
int keywords_append_more(int dirfd, const struct file_perm *perm,
    struct str lines, struct file_stamp *stamp, struct file_tail *read,
    struct err *e);
/* Puts a new file in its place; `lines` without the version line. */
int keywords_save_more(int dirfd, const struct file_perm *perm,
    struct str lines, struct file_stamp *stamp, struct file_tail *read,
    struct err *e);

#endif
