/* SPDX-License-Identifier: ISC */
/*
 * msg_keys.h - what messages are ordered, threaded and listed by, from their
 * headers: parsed once, then kept as facts of the index.
 */
#ifndef STORE_MSG_KEYS_H
#define STORE_MSG_KEYS_H

#include "store/msg.h"

/* RFC 5256 section 3. All are UTF-8 as written, compare them by text/fold.h. */
struct sort_keys {
	bool has_date; /* else SORT takes INTERNALDATE */
	int64_t sent_s; /* seconds since 1970 of the Date field */
	bool is_reply; /* "Re:", "Fwd:" and the like were taken away */
	struct str subject; /* the base subject, decoded */
	struct str from, to, cc; /* local part of the first address, or empty */
	/* RFC 5957: the display name, else local@host; decoded. */
	struct str from_name, to_name;
};

/* Reads the header alone, if at all. Slices are in `a`. ERR_GONE. */
int msg_sort_keys(
    struct msg *m, struct arena *a, struct sort_keys *out, struct err *e);

/*
 * Until the keys, and those of THREAD too if `for_thread`, can be had without
 * long reading; for callers who take steps.
 */
enum step msg_keys_ready(struct msg *m, bool for_thread, struct err *e);

/* RFC 5256 section 3, REFERENCES. */
struct thread_keys {
	struct str id; /* its own Message-ID, or empty */
	/* Ids from the first to the parent, each but the last with a NUL
	 * behind it; without References the first of In-Reply-To. */
	struct str refs;
};

/* Reads the header alone, if at all. Slices are in `a`. ERR_GONE. */
int msg_thread_keys(
    struct msg *m, struct arena *a, struct thread_keys *out, struct err *e);

/*
 * The preview (RFC 8970), perhaps empty, in `a`. STEP_MORE: some was read, call
 * again with the same message.
 */
enum step msg_preview(
    struct msg *m, struct arena *a, struct str *out, struct err *e);
/* The same when it is known already, for PREVIEW (LAZY). */
bool msg_preview_known(struct msg *m, struct arena *a, struct str *out);

#endif
