/* SPDX-License-Identifier: ISC */
/*
 * metadata.h - annotations in a session: what is asked for and how it is told
 * (RFC 5464 sections 4.2, 4.4), and what others change (after ENABLE METADATA).
 */
#ifndef IMAPD_METADATA_H
#define IMAPD_METADATA_H

#include "base/vec.h"
#include "imapd/command.h"
#include "imapd/metadata_watch.h"
#include "store/meta.h"

/* ---- questions ------------------------------------------------------------- */

#define META_DEPTH_ALL UINT32_MAX

struct meta_query {
	const struct str *entries;
	size_t n;
	uint32_t depth; /* levels below each: 0, 1, META_DEPTH_ALL */
	uint32_t max_bytes; /* of a value */
	uint32_t longest; /* of those that are left out for that; or 0 */
};

/* Entry names behind each other; false: one is none, or there is none. */
bool metadata_entries_parse(
    struct cmd *c, const struct imap_arg *a, struct meta_query *out);
/* Is one of these asked for? */
bool metadata_asks_for(const struct meta_query *q, struct str name);
/*
 * Writes the METADATA responses of one mailbox (or of the server, an empty name)
 * that answer a question: values, NIL for what is asked for by its name and not
 * there. `uses` are the mailbox's special uses: they are one of its entries.
 */
void metadata_write(struct session *s, struct str mailbox, struct meta_query *q,
    const struct meta_entry *all, unsigned uses);
/* What the server is annotated with, by its settings, before `all`. */
struct meta_entry *metadata_server(struct cmd *c, struct meta_entry *all);

/* ---- changes by others ----------------------------------------------------- */

/* An annotation that somebody else has changed; both are the entry's own. */
struct metadata_news {
	char *mailbox, *entry;
};

struct metadata {
	struct meta_listener listener;
	VEC(struct metadata_news) news; /* not told yet */
	/* The selected mailbox, and those asked about, the latest at the end:
	 * others may change them, too. */
	VEC(struct metadata_asked {
		char *mailbox;
		struct metadata_watch watch;
	})
	asked;
	struct tree_listener tree;
};

/* ENABLE METADATA, METADATA-SERVER. */
void metadata_enable(struct session *s);
void metadata_done(struct session *s);
/* This session has changed them itself: that is no news. */
void metadata_own(
    struct session *s, struct str mailbox, const struct meta_entry *entries);
bool metadata_has_news(const struct session *s);
/* Tells them. */
void metadata_tell(struct session *s);

#endif
