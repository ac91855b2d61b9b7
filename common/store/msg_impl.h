/* SPDX-License-Identifier: ISC */
/* msg_impl.h - the inside of struct msg, for msg*.c. */
#ifndef STORE_MSG_IMPL_H
#define STORE_MSG_IMPL_H

#include "base/buf.h"
#include "store/mailbox_impl.h"
#include "store/msg.h"
#include "text/md5.h"

struct msg {
	struct mailbox *mailbox; /* held */
	uint32_t uid;
	struct msg_file file; /* fd -1: not open yet */
	bool has_stat, has_date, has_wire_size, has_header, header_is_cut;
	uint64_t wire_size;
	/* A size in the name is a hint, until all bytes have been read. */
	bool is_verified, verify_cr;
	uint64_t verified_to, verified_lone;
	int64_t date_s; /* INTERNALDATE, when has_date */
	struct buf header;
	struct str header_block; /* there, or in file.first */
	/* Counting the wire size: so far, and whether the last byte was CR. */
	uint64_t counted, counted_lone;
	bool counted_cr;
	struct part_parser *parser; /* NULL: not begun, or finished */
	uint64_t parsed;
	struct part *parts; /* in the arena */
	struct md5 id_sum; /* of id_read bytes; object.c */
	uint64_t id_read;
	bool id_begun;
	struct arena arena;
};

/* Opens the message's file, unless it is open. ERR_GONE. */
int msg_need_file(struct msg *m, struct err *e);

#endif
