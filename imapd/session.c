/* SPDX-License-Identifier: ISC */
/*
 * session.c - what one client's session has.
 *
 * Owns:    the view, the session's arena and output buffer.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing from the client.
 * Spec:    RFC 3501 section 3 (states), section 2.3.1.2 (sequence numbers).
 */
#include "imapd/session.h"

#include "base/bounds.h"
#include "host/host.h"
#include "imap/imap_set.h"
#include "imapd/metadata.h"
#include "imapd/context.h"
#include "imapd/notify.h"

enum { OUT_MAX_BYTES = 64 * 1024 * 1024, OUT_KEEP_BYTES = 1024 };

void
session_init(struct session *s, struct host *h, struct conn *conn)
{
	const char *literals = host_setting(h, "nonsync_literals");

	s->host = h;
	s->conn = conn;
	s->store = host_store(h);
	s->append_max_bytes =
	    host_setting_bytes(h, "append_limit", IMAP_APPEND_MAX);
	s->message_limit = host_setting_number(h, "message_limit", 0);
	s->save_limit = host_setting_number(h, "save_limit", 0);
	s->append_8bit = host_setting_bool(h, "append_8bit_headers", true);
	s->progress_ms =
	    (int64_t)host_setting_seconds(h, "progress_interval", PROGRESS_S) *
	    1000;
	s->literal_minus = literals != NULL && strcmp(literals, "small") == 0;
	arena_init(&s->arena);
	buf_init(&s->out, OUT_MAX_BYTES);
	set32_init(&s->saved);
	fetch_cache_init(&s->fetch_cache, host_loop(h));
	filter_job_init(&s->filter_job, h);
}

void
session_done(struct session *s)
{
	notify_done(s);
	session_unselect(s);
	metadata_done(s);
	arena_done(&s->arena);
	buf_done(&s->out);
	set32_done(&s->saved);
	set32_done(&s->vanished);
}

void
session_select(struct session *s, struct view *v)
{
	session_unselect(s);
	s->view = v;
	filter_job_start(&s->filter_job, v);
	s->read_only = view_is_read_only(v);
	s->keywords_told = mailbox_keyword_count(view_mailbox(v));
	s->rights_told = view_rights(v);
	notify_opened(s);
}

bool
session_flags(struct session *s, uint32_t uid, struct flags *out)
{
	if (!view_flags(s->view, uid, out))
		return false;
	if (s->imap4rev2)
		out->system &= (uint8_t)~FLAG_RECENT;
	return true;
}

struct str
session_mailbox(const struct session *s)
{
	return s->view == NULL ? STR("") : mailbox_name(view_mailbox(s->view));
}

void
session_unselect(struct session *s)
{
	fetch_cache_drop(&s->fetch_cache);
	filter_job_stop(&s->filter_job);
	context_end(s);
	notify_leaves(s);
	view_close(&s->view);
	s->read_only = false;
	s->lost = false;
	set32_clear(&s->saved);
	set32_clear(&s->vanished);
}

void
session_send(struct session *s)
{
	if (s->out.n > 0)
		conn_write_str(s->conn, buf_str(&s->out));
	if (s->out.size > OUT_KEEP_BYTES)
		buf_done(&s->out);
	else
		buf_clear(&s->out);
}

/* Every number must be one of the view's (RFC 3501: seq-number). */
static bool
seqs_to_uids(struct view *v, struct set32 *seqs, struct set32 *uids)
{
	const struct set32 *all = view_uids(v);
	uint32_t count = view_count(v), first, last, uid;
	size_t i, k;

	set32_clear(uids);
	if (seqs->n > 0 && seqs->r[seqs->n - 1].last > count)
		return false;
	/* Run by run of the view's UIDs, not message by message. */
	for (i = k = 0; i < seqs->n; i++) {
		first = view_uid(v, seqs->r[i].first);
		last = view_uid(v, seqs->r[i].last);
		while (k < all->n && all->r[k].last < first)
			k++;
		for (; k < all->n && all->r[k].first <= last; k++) {
			uid = all->r[k].first > first ? all->r[k].first : first;
			set32_add_range(uids, uid,
			    all->r[k].last < last ? all->r[k].last : last);
			if (all->r[k].last > last)
				break;
		}
	}
	return true;
}

static bool
parse_set(struct cmd *c, struct str text, bool uid, bool is_search,
    struct set32 *uids)
{
	struct view *v = c->s->view;
	uint32_t count = v == NULL ? 0 : view_count(v);
	uint32_t star = uid && v != NULL ? view_uid(v, count) : count;
	struct set32 numbers;
	bool ok;

	/* The last saved result, perhaps empty (RFC 5182). */
	if (str_eq(text, STR("$"))) {
		if (v != NULL)
			set32_intersect(&c->s->saved, view_uids(v), uids);
		return v != NULL;
	}
	/* Without messages even "*" is out of range; not so for UIDs. */
	set32_init(&numbers);
	ok = imap_set_parse(text, star, IMAP_SET_RANGES_MAX, &numbers) &&
	    (uid || is_search || count > 0);
	if (is_search && !uid)
		set32_remove_range(&numbers, count + 1, UINT32_MAX);
	if (ok && uid && v != NULL)
		set32_intersect(&numbers, view_uids(v), uids);
	else if (ok && !uid && count > 0)
		ok = seqs_to_uids(v, &numbers, uids);
	set32_done(&numbers);
	return ok;
}

bool
session_parse_set(struct cmd *c, struct str text, struct set32 *uids)
{
	return parse_set(c, text, c->uid, false, uids);
}

const char *
session_set_fault(struct cmd *c, struct str text)
{
	uint32_t count = c->s->view == NULL ? 0 : view_count(c->s->view);
	struct set32 numbers;
	bool ok;

	set32_init(&numbers);
	ok = imap_set_parse(text, UINT32_MAX, IMAP_SET_RANGES_MAX, &numbers);
	set32_done(&numbers);
	if (!ok || c->uid)
		return "Not a valid message set";
	if (count == 0)
		return "Invalid messageset: the mailbox is empty";
	return arena_c(c->arena,
	    arena_printf(
		c->arena, "Invalid messageset: the last one is %u", count));
}

bool
session_parse_set_as(
    struct cmd *c, struct str text, bool uid, struct set32 *uids)
{
	return parse_set(c, text, uid, true, uids);
}

void
session_numbers(struct cmd *c, const struct set32 *uids, struct set32 *out)
{
	struct view *v = c->s->view;
	size_t i;

	set32_clear(out);
	if (c->uid) {
		set32_copy(out, uids);
		return;
	}
	/* Neighbouring UIDs of the view are neighbouring numbers. */
	for (i = 0; i < uids->n; i++)
		set32_add_range(out, view_seq(v, uids->r[i].first),
		    view_seq(v, uids->r[i].last));
}
