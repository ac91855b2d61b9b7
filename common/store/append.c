/* SPDX-License-Identifier: ISC */
/*
 * append.c - APPEND: one message or many, of which all come or none.
 *
 * Owns:    struct append, whose `impl` is the backend's.
 * Runs in: imapd, as the mail user.
 * Trusts:  nothing; what a message has beyond its size, or not, is refused.
 * Spec:    RFC 3501 section 6.3.11, RFC 3502, RFC 4314 section 4, RFC 8508,
 *          RFC 9208.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "store/change_impl.h"
#include "store/quota.h"
#include "store/rights.h"
#include "store/seen.h"

enum step
append_open(
    struct store *s, struct str mailbox, struct append **out, struct err *e)
{
	struct append *a = *out;
	enum step step;

	if (a == NULL)
		a = *out = mem_new(1, sizeof(*a));
	step = mailbox_acquire_or_make(s, mailbox, &a->m, e);
	if (step != STEP_DONE)
		goto out;
	step = STEP_FAIL;
	if (rights_need(a->m->rights, ACL_INSERT, e) == -1)
		goto out;
	if (a->m->is_read_only || a->m->is_broken)
		(void)err_set(e, ERR_READ_ONLY, "%s: read-only", a->m->name);
	else if (a->m->store->ops->append->begin(a, e) == 0)
		step = STEP_DONE;
out:
	if (step == STEP_FAIL)
		append_free(out);
	return step;
}

enum step
append_begin(
    struct store *s, struct str mailbox, struct append **out, struct err *e)
{
	store_begin_step(s);
	return append_open(s, mailbox, out, e);
}

void
append_take_seen(struct append *a, uint32_t nth, struct flag_wish *w)
{
	if (!seen_is_own(a->m))
		return;
	/* Another one may have been tried for this place, and was gone. */
	set32_remove(&a->seen, nth);
	if (w->system & FLAG_SEEN)
		set32_add(&a->seen, nth);
	w->system &= (uint8_t)~FLAG_SEEN;
}

int
append_message(struct append *a, const struct flag_wish *w, int64_t date_s,
    uint64_t size, struct err *e)
{
	const struct allowed allowed = change_allowed(a->m);
	struct flag_wish stored = *w;

	if (a->left > 0)
		return err_set(e, ERR_SYNTAX, "append: message too short");
	stored.system &= FLAGS_STORED;
	change_limit(&allowed, &stored);
	append_take_seen(a, (uint32_t)a->count + 1, &stored);
	if (a->m->store->ops->append->message(a, &stored, date_s, e) == -1)
		return -1;
	a->left = size;
	a->bytes += size;
	a->count++;
	a->in_message = true;
	return 0;
}

enum step
append_may_add(struct append *a, uint64_t size, struct err *e)
{
	uint64_t bytes = a->bytes + size, count = a->count + 1;

	bytes -= bytes < a->bytes_go ? bytes : a->bytes_go;
	count -= count < a->count_go ? count : a->count_go;
	return store_quota_may_add(
	    a->m->store, mailbox_name(a->m), bytes, count, e);
}

int
append_scratch(struct append *a, struct err *e)
{
	return a->m->store->ops->append->scratch(a, e);
}

int
append_data(struct append *a, struct str bytes, struct err *e)
{
	if (!a->in_message || bytes.n > a->left)
		return err_set(e, ERR_SYNTAX, "append: message too long");
	a->left -= bytes.n;
	return a->m->store->ops->append->data(a, bytes, e);
}

enum step
append_commit_some(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e)
{
	enum step step = a->m->store->ops->append->commit(a, e);
	struct err why;

	if (step != STEP_DONE)
		return step;
	*uidvalidity = set32_is_empty(&a->uids) ? 0 : a->m->uidvalidity;
	set32_copy(uids, &a->uids);
	for (uint32_t n = 1; set32_next(&a->seen, n, &n); n++)
		if (!set32_has(&a->dropped, n))
			(void)seen_change(a->m,
			    set32_at(uids, n - set32_count_le(&a->dropped, n)),
			    true);
	/* The messages are there; that they are seen is not worth a failure. */
	if (seen_save_now(a->m, &why) == -1)
		store_warn(a->m->store, "%s: %s", a->m->name, why.text);
	return STEP_DONE;
}

enum step
append_commit(
    struct append *a, uint32_t *uidvalidity, struct set32 *uids, struct err *e)
{
	store_begin_step(a->m->store);
	if (a->left == 0)
		return append_commit_some(a, uidvalidity, uids, e);
	(void)err_set(e, ERR_SYNTAX, "append: message too short");
	return STEP_FAIL;
}

bool
append_yields(const struct append *a)
{
	return a->yields;
}

void
append_free(struct append **ap)
{
	struct append *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	if (a->impl != NULL)
		a->m->store->ops->append->free(a);
	mailbox_release(&a->m);
	set32_done(&a->uids);
	set32_done(&a->seen);
	set32_done(&a->dropped);
	free(a);
}

/* ---- what goes for it: REPLACE, MOVE --------------------------------------- */

uint64_t
append_size_of(struct mailbox *m, uint32_t uid)
{
	struct msg_file f = {.fd = -1};
	struct msg_facts facts;
	struct err e;
	uint64_t size;

	if (m->store->ops->quota == NULL)
		return 0;
	if (m->store->ops->msg_facts(m, uid, &facts) && facts.size > 0)
		return facts.size;
	if (m->store->ops->msg_stat(m, uid, &f, &e) == -1)
		return 0;
	size = f.size;
	msg_file_close(m, &f);
	return size;
}

bool
append_is_counted_with(const struct mailbox *from, const struct mailbox *to)
{
	return from->store == to->store &&
	    !str_eq(str_of(from->name), STR("Trash"));
}

void
view_replaces(struct view *v, uint32_t uid, struct append *append)
{
	if (v->m == append->m)
		append->replaces = uid;
	if (!append_is_counted_with(v->m, append->m))
		return;
	append->bytes_go = append_size_of(v->m, uid);
	append->count_go = 1;
}
