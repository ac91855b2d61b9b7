/* SPDX-License-Identifier: ISC */
/*
 * shares.h - the list of who shares what with whom (share_record.h): from it a
 * user's process learns whose mail it may look for, before it is confined to
 * that.
 */
#ifndef MASTER_SHARES_H
#define MASTER_SHARES_H

#include <ev.h>

#include "base/buf.h"
#include "base/vec.h"
#include "ipc/share_record.h"

struct shares {
	VEC(struct share_entry {
		struct share_record r; /* its texts are `line`'s */
		char *line;
	})
	v;
	size_t bytes; /* of the lines, in the file */
	struct ev_loop *loop; /* NULL: nothing is to be saved later */
	char *dir; /* state_dir; NULL: not known yet */
	bool is_loaded;
	struct buf later; /* lines for what can not be read yet */
	ev_timer save;
	bool is_dirty;
};

/* Empty; the file is read when it is first needed. */
void shares_init(struct shares *s);
/* What has not been written is. */
void shares_done(struct shares *s);
/*
 * Takes in a sound record. What was already so changes nothing; an owner who
 * has told of very many loses his oldest.
 */
void shares_take(struct shares *s, struct ev_loop *loop, const char *state_dir,
    const struct share_record *r);
/*
 * The setting `shares` of one user: for each mailbox that others share with
 * him, by his uid, his group or with anyone, "UID\tOWNER\tLOCATION\tFOLDER",
 * tabs between; 64 at most, of each owner eight before any has more. Also takes in
 * what restantectl has added since.
 */
void shares_of(struct shares *s, const char *state_dir, uint32_t sysuid,
    uint32_t sysgid, struct buf *out);

#endif
