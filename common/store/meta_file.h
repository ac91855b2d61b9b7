/* SPDX-License-Identifier: ISC */
/*
 * meta_file.h - a file of annotations (RFC 5464):
 *
 *	restante-metadata 1\n
 *	/shared/comment 12\n
 *	two\r\nlines.\n
 *
 * A name, the number of bytes of its value, the value, LF. What does not begin
 * with "/" is ours: "place", the path of the mbox file that it is about.
 */
#ifndef STORE_META_FILE_H
#define STORE_META_FILE_H

#include "base/arena.h"
#include "base/buf.h"

#define META_NAME_MAX 512
#define META_VALUE_MAX (64 * 1024)
#define META_ENTRIES_MAX 500 /* of one scope of one mailbox */
#define META_FILE_MAX (2 * 1024 * 1024)

struct meta_entry {
	struct str name; /* as it was set; compared without case */
	struct str value; /* p NULL: there is none */
	struct meta_entry *next;
};

/*
 * Entries in the order of the file; copies in `a`. False: the file is damaged,
 * *first is what lies before the damage.
 */
bool meta_file_parse(
    struct arena *a, struct str bytes, struct meta_entry **first);
/* Entries without a value are left out. */
void meta_file_write(const struct meta_entry *first, struct buf *out);
/* NULL: there is no such entry. */
struct meta_entry *meta_find(struct meta_entry *first, struct str name);

#endif
