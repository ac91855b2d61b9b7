/* SPDX-License-Identifier: ISC */
/*
 * chan_try.c - the messages about attempts and held PAM sessions.
 *
 * Owns:    nothing.
 * Runs in: authd, the spawner, its children, master.
 * Trusts:  nothing in a message; every field is checked against its limit.
 */
#include "ipc/chan_try.h"

static void
write_new(const struct chan_try_new *n, struct buf *out)
{
	msg_put_u32(out, n->attempt);
	msg_put_u32(out, (uint32_t)n->kind);
	msg_put_bool(out, n->hold);
}

static void
read_new(struct msg_in *in, struct chan_try_new *n)
{
	n->attempt = msg_get_u32(in);
	n->kind = (enum chan_try_kind)msg_get_range(
	    in, CHAN_TRY_PAM, CHAN_TRY_LOOKUP);
	n->hold = msg_get_bool(in);
	if (n->hold && n->kind != CHAN_TRY_PAM)
		msg_refuse(in);
}

static void
write_work(const struct chan_try_work *w, struct buf *out)
{
	msg_put_u32(out, (uint32_t)w->want);
	msg_put_str(out, w->name);
	msg_put_blob(out, w->password);
	msg_put_str(out, w->service);
	msg_put_str(out, w->rhost);
}

static void
read_work(struct msg_in *in, struct chan_try_work *w)
{
	w->want = (enum chan_try_want)msg_get_range(
	    in, CHAN_TRY_VERIFY, CHAN_TRY_WHO);
	w->name = msg_get_str(in, USER_NAME_MAX);
	w->password = msg_get_blob(in, PASSWORD_MAX);
	w->service = msg_get_str(in, 16);
	w->rhost = msg_get_str(in, 64);
	if (w->name.n == 0 || str_find(w->password, '\0') < w->password.n)
		msg_refuse(in);
}

static void
write_result(const struct chan_try_result *r, struct buf *out)
{
	msg_put_u32(out, (uint32_t)r->outcome);
	msg_put_str(out, r->text);
	msg_put_str(out, r->name);
	msg_put_bool(out, r->has_ids);
	msg_put_u32(out, r->uid);
	msg_put_u32(out, r->gid);
	msg_put_str(out, r->home);
	msg_put_str(out, r->mail);
	msg_put_str(out, r->extra);
	msg_put_bool(out, r->holding);
	msg_put_u32(out, r->iter);
	msg_put_blob(out, r->salt);
	msg_put_blob(out, r->stored_key);
	msg_put_blob(out, r->server_key);
}

static void
read_result(struct msg_in *in, struct chan_try_result *r)
{
	r->outcome = (enum chan_try_outcome)msg_get_range(
	    in, CHAN_TRY_OK, CHAN_TRY_UNAVAILABLE);
	r->text = msg_get_str(in, CHAN_TRY_TEXT_MAX);
	r->name = msg_get_str(in, USER_NAME_MAX);
	r->has_ids = msg_get_bool(in);
	r->uid = msg_get_u32(in);
	r->gid = msg_get_u32(in);
	r->home = msg_get_str(in, CHAN_TRY_PATH_MAX);
	r->mail = msg_get_str(in, CHAN_TRY_PATH_MAX);
	r->extra = msg_get_str(in, CHAN_TRY_EXTRA_MAX);
	r->holding = msg_get_bool(in);
	r->iter = msg_get_u32(in);
	r->salt = msg_get_blob(in, CHAN_TRY_KEY_MAX);
	r->stored_key = msg_get_blob(in, CHAN_TRY_KEY_MAX);
	r->server_key = msg_get_blob(in, CHAN_TRY_KEY_MAX);
	if ((r->outcome == CHAN_TRY_OK) != (r->name.n > 0) ||
	    (r->outcome != CHAN_TRY_OK && (r->has_ids || r->holding)) ||
	    (r->home.n > 0 && r->home.p[0] != '/'))
		msg_refuse(in);
}

static void
write_start(const struct chan_hold_start *s, struct buf *out)
{
	uint32_t i;

	msg_put_str(out, s->path);
	msg_put_u32(out, s->n_args);
	for (i = 0; i < s->n_args; i++)
		msg_put_str(out, s->args[i]);
	msg_put_u32(out, s->n_env);
	for (i = 0; i < s->n_env; i++)
		msg_put_str(out, s->env[i]);
}

static void
read_start(struct msg_in *in, struct chan_hold_start *s)
{
	uint32_t i;

	s->path = msg_get_str(in, CHAN_TRY_PATH_MAX);
	s->n_args = msg_get_range(in, 1, CHAN_HOLD_ARGS_MAX);
	for (i = 0; i < s->n_args; i++)
		s->args[i] = msg_get_str(in, CHAN_TRY_PATH_MAX);
	s->n_env = msg_get_range(in, 0, CHAN_HOLD_ARGS_MAX);
	for (i = 0; i < s->n_env; i++)
		s->env[i] = msg_get_str(in, CHAN_TRY_PATH_MAX);
	if (s->path.n == 0 || s->path.p[0] != '/')
		msg_refuse(in);
}

/* How many descriptors come with a message of this type. */
static unsigned
fds_of(unsigned type)
{
	switch (type) {
	case CHAN_TRY_CHILD:
	case CHAN_HOLD_STARTED:
		return 1;
	case CHAN_TRY_CHILD_HOLD:
		return 2;
	case CHAN_HOLD_START:
		return CHAN_HOLD_FDS;
	default:
		return 0;
	}
}

void
chan_try_write(const struct chan_try_msg *m, struct buf *out)
{
	msg_begin(out, (uint16_t)m->type, fds_of(m->type));
	switch (m->type) {
	case CHAN_TRY_NEW:
		write_new(&m->new, out);
		break;
	case CHAN_TRY_CHILD:
	case CHAN_TRY_CHILD_HOLD:
	case CHAN_TRY_REFUSED:
		msg_put_u32(out, m->attempt);
		break;
	case CHAN_TRY_WORK:
		write_work(&m->work, out);
		break;
	case CHAN_TRY_RESULT:
		write_result(&m->result, out);
		break;
	case CHAN_HOLD_START:
		write_start(&m->start, out);
		break;
	case CHAN_HOLD_STARTED:
		msg_put_u32(out, m->pid);
		break;
	case CHAN_HOLD_ENDED:
		msg_put_u32(out, m->ended.status);
		msg_put_str(out, m->ended.text);
		break;
	}
}

int
chan_try_parse(struct msg_in *in, struct chan_try_msg *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	out->type = (enum chan_try_type)in->type;
	switch (in->type) {
	case CHAN_TRY_NEW:
		read_new(in, &out->new);
		break;
	case CHAN_TRY_CHILD:
	case CHAN_TRY_CHILD_HOLD:
	case CHAN_TRY_REFUSED:
		out->attempt = msg_get_u32(in);
		break;
	case CHAN_TRY_WORK:
		read_work(in, &out->work);
		break;
	case CHAN_TRY_RESULT:
		read_result(in, &out->result);
		break;
	case CHAN_HOLD_START:
		read_start(in, &out->start);
		break;
	case CHAN_HOLD_STARTED:
		out->pid = msg_get_u32(in);
		break;
	case CHAN_HOLD_ENDED:
		out->ended.status = msg_get_u32(in);
		out->ended.text = msg_get_str(in, CHAN_TRY_TEXT_MAX);
		break;
	default:
		return err_set(e, ERR_VIOLATION, "chan_try: no message %u",
		    (unsigned)in->type);
	}
	if (in->n_fds != fds_of(in->type))
		msg_refuse(in);
	if (msg_end(in, e) == -1)
		return err_in(e, "chan_try message %u", (unsigned)in->type);
	return 0;
}
