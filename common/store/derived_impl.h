/* SPDX-License-Identifier: ISC */
/* derived_impl.h - the inside of derived.h, for derived*.c. */
#ifndef STORE_DERIVED_IMPL_H
#define STORE_DERIVED_IMPL_H

#include <ev.h>

#include "index/filter.h"
#include "index/modlog.h"
#include "store/derived.h"

/* One per user: of his own store, and of all that hang on it. */
struct derived_store {
	struct store *s; /* his own */
	char *dir;
	struct index *ix; /* NULL: none, or not needed yet */
	bool was_tried;
	ev_prepare prepare;
	ev_timer save;
	ev_timer facts; /* when those that wait are written */
	uint64_t n_noted, n_noted_then; /* facts; and when it was armed */
	int64_t facts_since_ms;
	bool is_urgent; /* at the end of this step */
	ev_timer sweep;
	struct index_key sweep_at; /* n 0: not under way */
};

struct change {
	uint32_t uid;
	uint64_t modseq; /* 0: not of the flags */
};

/* UIDs that came together. */
struct arrival {
	uint32_t first, last;
	uint32_t save_s; /* when they did */
	uint64_t modseq;
};

/* Facts and slots that wait to be written. */
struct fact {
	uint32_t uid;
	uint16_t known;
	bool forgets; /* what was known before */
	uint64_t size, wire_size;
	int64_t date_s;
};

struct slot {
	uint32_t uid, off, n;
	int kind; /* enum index_slot, or INDEX_FILTERS */
};

/* One per mailbox. */
struct derived {
	char *place;
	uint32_t box; /* its number, 0: none yet */
	uint64_t epoch; /* of the index that gave it */
	uint64_t generation; /* of the head that is_based speaks of */
	/* The chunks say what the records up to saved_top were, but for what
	 * stands in `changed` and `vanished`. */
	bool is_based;
	uint32_t saved_top;
	uint64_t base_modseq; /* of messages that were there from the start */
	uint64_t taken_modseq; /* the highest when the head was taken */
	uint64_t vanished_from;
	struct derived_counts base; /* of those that are not loaded */
	VEC(struct change) changed; /* ascending by UID */
	VEC(struct arrival) arrivals;
	struct set32 vanished;
	bool is_dirty; /* to be saved */
	int64_t changed_ms; /* since when */
	VEC(struct fact) facts;
	VEC(struct slot) slots;
	struct buf bytes; /* of the slots */
	/* The group to look in for UIDs of that range; n 0: there is none. */
	struct filter_group filters;
	uint32_t filters_from, filters_to;
	uint64_t filters_serial; /* of the index then */
	uint32_t filters_at; /* the entry in it that was found */
	bool note_filtered; /* `filtered` is to be written */
	uint32_t
	    filtered; /* see derived_filtered(); 0: is not known any more */
	struct index_chunk chunk; /* the last that was found */
	uint64_t chunk_serial; /* of the index then; 0: none */
	uint32_t chunk_at; /* the record in it that was found */
	uint64_t none_serial; /* of the index when there was no chunk... */
	uint32_t none_from; /* ...for this UID and all behind it */
	uint64_t ours_serial; /* of the index when the head was ours */
};

/* With which others a message came; NULL: before we looked. */
const struct arrival *derived_arrival_of(const struct derived *d, uint32_t uid);
/* Is the number of this mailbox one of the index as it is now? */
bool derived_has_box(const struct mailbox *m);
/* Do any of those wait? */
static inline bool
derived_facts_wait(const struct derived *d)
{
	return d->facts.n + d->slots.n > 0 || d->note_filtered;
}
/* A value for the end of the step; see derived_put(). */
void derived_put_any(
    struct mailbox *m, uint32_t uid, int kind, struct str value);
/* Facts are written a moment later. */
void derived_arm_facts(struct store *s);
/* The same for records, after a longer one. */
void derived_arm_save(struct store *s);

/* Room for the keywords of a message beyond those with a letter. */
#define DERIVED_MORE_MAX 1024
/*
 * The chunk with the record of `uid`, which is number *i; NULL: there is none.
 * `with_side`: its side bytes are there too.
 */
const struct index_chunk *derived_find_rec(
    struct mailbox *m, uint32_t uid, bool with_side, uint32_t *i);

/* ---- derived_filter.c, inside index_write() ---- */
/* One that waited. */
int derived_write_filters(struct index *ix, uint32_t box, uint32_t uid,
    struct str group, struct err *e);
int derived_write_filtered(
    struct index *ix, uint32_t box, uint32_t uid, struct err *e);
/*
 * `uids` vanished: groups that have nothing of `live` go. `live` NULL: they have
 * become other messages, and all groups that have one of them go.
 */
int derived_drop_filters(struct index *ix, uint32_t box,
    const struct set32 *uids, const struct set32 *live, struct err *e);

/* Writes facts and slots that wait. */
void derived_write_facts(struct mailbox *m);
/*
 * Writes the records, a limited number of new ones. STEP_MORE: call again;
 * STEP_FAIL: it could not be done now.
 */
enum step derived_save(struct mailbox *m);
/* The daily look for what is long gone, a while after the index was opened. */
void derived_sweep_arm(struct store *s);
/* There is something to be thrown away. */
void derived_sweep_soon(struct store *s);
void derived_sweep_end(struct derived_store *ds);
/* All open mailboxes of all these stores, from NULL on; NULL behind the last. */
struct mailbox *derived_next_open(struct derived_store *ds, struct mailbox *m);
/* Something was read or is to be written at the end of this step. */
void derived_touch(struct store *s);

#endif
