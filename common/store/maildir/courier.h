/* SPDX-License-Identifier: ISC */
/*
 * courier.h - the bytes of Courier's files in a Maildir (formats.md section 4).
 * Pure: who reads and writes the files is maildir_courier.c. The file of UIDs,
 * "courierimapuiddb", is version 1 of dovecot-uidlist: see uidlist.h.
 */
#ifndef STORE_COURIER_H
#define STORE_COURIER_H

#include "base/buf.h"

#define COURIER_UIDS "courierimapuiddb"
#define COURIER_POP3 "courierpop3dsizelist"
#define COURIER_SUBS "courierimapsubscribed"
#define COURIER_KEYWORDS "courierimapkeywords"
#define COURIER_KEYWORD_LIST ":list"

/* One line of courierpop3dsizelist, in the order of the file. */
struct courier_pop3 {
	struct str base;
	uint64_t wire_size;
	uint32_t n, uidvalidity; /* 0: Courier had none */
	bool is_utf8; /* as Courier has found it */
};

/* The first line: the number for the next message. */
struct courier_pop3_head {
	uint32_t next, uidvalidity;
};

/* Told of each line, which is borrowed for the call. */
typedef void courier_pop3_fn(void *arg, const struct courier_pop3 *entry);

/* The lines of versions 1 to 3, and of a list without a version. */
void courier_pop3_parse(struct str bytes, courier_pop3_fn *fn, void *arg);
/* False: no list, or one without numbers. */
bool courier_pop3_parse_head(struct str bytes, struct courier_pop3_head *out);
void courier_pop3_put_head(
    struct buf *out, const struct courier_pop3_head *head);
/* The line of a message whose file has this name now. */
void courier_pop3_put(
    struct buf *out, struct str name, const struct courier_pop3 *entry);
/* "UID7-1795" to its numbers, all else of *out stays; false: no such id. */
bool courier_pop3_parse_uidl(struct str uidl, struct courier_pop3 *out);
/* The id that Courier gives this message. */
bool courier_pop3_uidl(struct buf *out, const struct courier_pop3 *entry);

/* Called with each name of ":list". */
typedef void courier_name_fn(void *arg, size_t number, struct str name);
/* Called with each keyword of each message of ":list"; number is SIZE_MAX
 * once for a message without any. */
typedef void courier_set_fn(void *arg, struct str base, size_t number);

/* Reads ":list", names first; a damaged line costs that line. */
void courier_keywords_parse(struct str bytes, courier_name_fn *name_fn,
    courier_set_fn *set_fn, void *arg);
/*
 * Is it the name of a file of changes, "BASE" or ".N.BASE"? *age: N, or
 * UINT64_MAX for the first form, which goes before all others.
 */
bool courier_change_name(struct str name, uint64_t *age, struct str *base);

/*
 * The mailbox of a line of courierimapsubscribed as UTF-8 without "INBOX.";
 * false: none of ours.
 */
bool courier_sub_name(struct str line, struct buf *out);
/* And back: the line with its LF. */
bool courier_sub_line(struct str name, struct buf *out);

#endif
