/* SPDX-License-Identifier: ISC */
/*
 * mbox.c - the operations table; opening and closing a mailbox.
 *
 * Owns:    struct mbox.
 * Runs in: imapd, pop3d, as the mail user.
 * Trusts:  nothing below the root.
 * Spec:    formats.md 6, 7.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/derived.h"
#include "store/mbox/mbox_impl.h"

static enum step
whole(int rc)
{
	return rc == -1 ? STEP_FAIL : STEP_DONE;
}

static void
close_mailbox(struct mailbox *m)
{
	struct mbox *mb = mbox_of(m);

	mbox_sync_abandon(m);
	mbox_job_end(m);
	watch_remove(&mb->watch);
	watch_remove(&mb->watch_dir);
	mbox_lock_abandon(m);
	if (mb->fd != -1) {
		mbox_shift_done(&mb->shift);
		close(mb->fd);
	}
	if (mb->dirfd != -1)
		close(mb->dirfd);
	VEC_DONE(&mb->slots);
	VEC_DONE(&mb->loading);
	set32_done(&mb->renumbered);
	mbox_was_done(mb);
	free(mb);
	m->impl = NULL;
}

static int
begin_open(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mem_new(1, sizeof(*mb));
	char dir[PATH_MAX];

	mb->fd = mb->dirfd = -1;
	set32_init(&mb->renumbered);
	mb->dot.dirfd = -1;
	m->impl = mb;
	mb->is_inbox = str_eq(str_of(m->name), STR("INBOX"));
	if (mbox_path(m->store, str_of(m->name), mb->path, e) == -1)
		return err_in(e, "%s", m->name);
	(void)snprintf(mb->journals, sizeof(mb->journals), "%s/mbox-journal",
	    m->store->state);
	mb->name = strrchr(mb->path, '/') + 1;
	(void)snprintf(
	    dir, sizeof(dir), "%.*s", (int)(mb->name - mb->path), mb->path);
	mb->dirfd = file_open_dir(AT_FDCWD, dir, true, e);
	if (mb->dirfd == -1)
		return err_in(e, "%s", m->name);
	if (mb->is_inbox)
		mbox_lock_prepare(m);
	/* Else it would seem to be another mailbox, and that be noted. */
	if (mbox_keep_load(m->store, mb->path, &mb->kept, e) == -1)
		return err_in(e, "%s", m->name);
	return 0;
}

int
mbox_only(struct store *s, struct str name, struct mailbox **out, struct err *e)
{
	struct mailbox *m = mem_new(1, sizeof(*m));

	m->store = s;
	m->name = str_to_heap(name);
	list_init(&m->views);
	list_init(&m->link);
	if (begin_open(m, e) == 0) {
		*out = m;
		return 0;
	}
	mbox_forget(&m);
	return -1;
}

void
mbox_forget(struct mailbox **mp)
{
	struct mailbox *m = *mp;

	*mp = NULL;
	if (m->impl != NULL && mbox_of(m)->owner != NULL)
		mbox_unlock(m);
	if (m->impl != NULL)
		close_mailbox(m);
	free(m->name);
	free(m);
}

/* Its identity is in the file, so that is read now. */
static enum step
open_mailbox(struct mailbox *m, struct err *e)
{
	struct mbox *mb = mbox_of(m);
	enum step step;

	if (mb == NULL) {
		step = mbox_rename_mend(m->store, e);
		if (step != STEP_DONE)
			return step;
		if (begin_open(m, e) == -1)
			return STEP_FAIL;
		mb = mbox_of(m);
		mb->is_taken = derived_take(m, str_of(mb->path));
	}
	step = mbox_sync(m, mb->is_taken ? SYNC_NORMAL : SYNC_FORCE, e);
	if (step != STEP_DONE)
		return step;
	mbox_keep(m);
	if (!mb->is_taken) {
		derived_attach(m, str_of(mb->path));
		derived_note_state(m);
	}
	return mbox_pending_load(m, e) == -1 ? STEP_FAIL : STEP_DONE;
}

/*
 * Another file of that name may be another mailbox; what else has changed is
 * for the next sync.
 */
static bool
is_current(struct mailbox *m)
{
	const struct mbox *mb = mbox_of(m);
	char path[PATH_MAX];
	struct stat st;
	struct err e;

	if (mbox_path(m->store, str_of(m->name), path, &e) == -1 ||
	    strcmp(path, mb->path) != 0)
		return false;
	/* Its owner may have given this user more since, or less. */
	if (m->store->head != NULL && mb->fd != -1 &&
	    (faccessat(mb->dirfd, mb->name, W_OK, AT_EACCESS) == 0) !=
		mb->can_write)
		return false;
	return mb->fd == -1 ||
	    (fstatat(mb->dirfd, mb->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		st.st_ino == mb->stamp.ino && st.st_dev == mb->stamp.dev);
}

static bool
facts(struct mailbox *m, uint32_t uid, struct msg_facts *out)
{
	struct mbox_slot s;

	if (!mbox_find_slot(m, uid, &s))
		return false;
	*out = (struct msg_facts){.size = s.size};
	if (s.bare != UINT32_MAX)
		out->wire_size = s.size + s.bare;
	return true;
}

static void
note_wire_size(UNUSED struct mailbox *m, UNUSED uint32_t uid,
    UNUSED uint64_t size, UNUSED uint64_t wire_size)
{
}

/* ---- as steps ------------------------------------------------------------ */

static enum step
remove_step(
    struct store *s, struct str name, UNUSED unsigned *phase, struct err *e)
{
	enum step step = mbox_rename_mend(s, e);

	return step == STEP_DONE ? whole(mbox_remove(s, name, e)) : step;
}

static enum step
keyword_step(struct mailbox *m, struct str name, size_t *number, struct err *e)
{
	return whole(mbox_keyword(m, name, number, e));
}

static enum step
set_flags_step(struct mailbox *m, uint32_t uid, const struct flag_change *c,
    bool *changed, struct err *e)
{
	return whole(mbox_set_flags(m, uid, c, changed, e));
}

static enum step
expunge_step(struct mailbox *m, uint32_t uid, bool only_deleted, struct err *e)
{
	return whole(mbox_expunge(m, uid, only_deleted, e));
}

static const struct set32 *
renumbered(const struct mailbox *m)
{
	return &mbox_of(m)->renumbered;
}

static enum step
ready(struct mailbox *m, UNUSED uint32_t uid, struct err *e)
{
	return mbox_ready(m, e);
}

static bool
exists(struct store *s, struct str name)
{
	char path[PATH_MAX];
	struct err e;

	return mbox_path(s, name, path, &e) == 0;
}

const struct store_ops mbox_ops = {
    .driver = "mbox",
    .place_open = mbox_place_open,
    .place_close = mbox_place_close,
    .list = mbox_list,
    .list_end = mbox_list_end,
    .create = mbox_create,
    .exists = exists,
    .remove = remove_step,
    .rename = mbox_rename,
    .rename_end = mbox_rename_end,
    .await_rename = mbox_rename_mend,
    .rights_place = mbox_rights_place,
    .subs_dir = mbox_subs_dir,
    .storage_name = mbox_storage_name,
    .name_of_storage = mbox_name_of_storage,
    .open = open_mailbox,
    .close = close_mailbox,
    .is_current = is_current,
    .sync = mbox_sync,
    .is_syncing = mbox_is_syncing,
    .abandon = mbox_sync_abandon,
    .may_have_news = mbox_may_have_news,
    .watch = mbox_watch,
    .spots = mbox_spots,
    .names_spot = mbox_names_spot,
    .is_name = mbox_is_name,
    .keyword = keyword_step,
    .set_flags = set_flags_step,
    .flush = mbox_flush,
    .settle = mbox_settle,
    .finish = mbox_finish,
    .leave = mbox_leave,
    .may_close = mbox_may_close,
    .work = mbox_work,
    .ready = ready,
    .expunge = expunge_step,
    .renumbered = renumbered,
    .msg_open = mbox_msg_open,
    .msg_stat = mbox_msg_stat,
    .msg_read = mbox_msg_read,
    .msg_close = mbox_msg_close,
    .msg_facts = facts,
    .note_wire_size = note_wire_size,
    .before_close = mbox_job_close,
    .freshen = mbox_freshen,
    .freshen_some = mbox_freshen_some,
    .index_place = mbox_index_place,
    .index_by_content = true,
    .index_is_settled = mbox_index_is_settled,
    .index_save = mbox_index_save,
    .index_take = mbox_index_take,
    .index_is_true = mbox_index_is_true,
    .index_side = mbox_index_side,
    .index_facts = mbox_index_facts,
    .index_load = mbox_index_load,
    .index_loaded = mbox_index_loaded,
    .index_is_recent = mbox_index_is_recent,
    .reload = mbox_reload,
    .append = &mbox_append,
};
