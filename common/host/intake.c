/* SPDX-License-Identifier: ISC */
/*
 * intake.c - connections from master become sessions.
 *
 * Owns:    the channel to master.
 * Runs in: imapd and pop3d that master has started.
 * Trusts:  master in who the user is; the handoff data in nothing but this
 *          client's own bytes and keys.
 *
 * A process without sessions lingers, then says LEAVING; master closes the
 * channel, and that is the end. A connection that crossed LEAVING on its way
 * is served, and lingering begins anew behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "host/host_impl.h"
#include "ipc/chan.h"
#include "ipc/chan_session.h"
#include "ipc/child.h"
#include "ipc/handoff.h"
#include "net/tls_record.h"
#include "os/fd.h"
#include "os/priv.h"

#define LINGER_S 60

/* ---- to master ----------------------------------------------------------- */

static void
send_frame(struct host *h, const struct buf *frame)
{
	struct err e;

	if (h->master == NULL)
		return;
	if (chan_send(h->master, frame, NULL, 0, &e) == -1 &&
	    e.code != ERR_CLOSED)
		log_warn("channel to master: %s", e.text);
}

static void
tell_number(struct host *h, uint16_t type, uint64_t session)
{
	struct buf *frame = chan_frame();

	session_number_write(type, session, frame);
	send_frame(h, frame);
}

static void
tell_text(struct host *h, uint16_t type, uint64_t session, struct str text)
{
	struct buf *frame = chan_frame();

	session_text_write(type,
	    &(struct session_text){.session = session, .text = text}, frame);
	send_frame(h, frame);
}

void
intake_tell_end(struct host *h, const struct host_session *hs)
{
	tell_number(h, SESSION_END, hs->session_id);
}

void
intake_tell_state(struct host *h, const struct host_session *hs)
{
	tell_text(h, SESSION_STATE, hs->session_id, str_of(hs->state));
}

void
intake_tell_share(void *host, const struct store_shared *sh)
{
	struct host *h = host;
	const struct share_record r = {
	    .owner = str_of(h->user),
	    .kind = (enum share_kind)sh->kind,
	    .number = sh->number,
	    .gives = sh->gives,
	    .location = str_of(sh->location),
	    .folder = str_of(sh->folder),
	};
	struct buf *frame;

	/* A path that no list can hold: other_users_location finds it. */
	if (!share_record_is_sound(&r)) {
		log_debug("share of %s is not kept", sh->folder);
		return;
	}
	frame = chan_frame();
	session_share_write(&r, frame);
	send_frame(h, frame);
}

/* ---- a connection -------------------------------------------------------- */

static bool
copy_direction(const struct handoff_direction *from, struct tls_direction *to)
{
	if (from->key.n > sizeof(to->key) || from->iv.n > sizeof(to->iv) ||
	    from->secret.n > sizeof(to->secret))
		return false;
	memcpy(to->key, from->key.p, from->key.n);
	to->key_len = (uint8_t)from->key.n;
	memcpy(to->iv, from->iv.p, from->iv.n);
	if (from->secret.n > 0)
		memcpy(to->secret, from->secret.p, from->secret.n);
	to->secret_len = (uint8_t)from->secret.n;
	to->seq = from->seq;
	return true;
}

static int
make_tls(const struct handoff *ho, struct tls_record **out, struct err *e)
{
	struct tls_state st = {
	    .version = ho->version,
	    .suite = ho->suite,
	    .max_plain = ho->max_plain,
	};
	int rc;

	if (!copy_direction(&ho->read, &st.read) ||
	    !copy_direction(&ho->write, &st.write))
		return err_set(e, ERR_VIOLATION, "handoff: key too long");
	rc = tls_record_new(&st, out, e);
	explicit_bzero(&st, sizeof(st));
	return rc;
}

/* What login has left; it lies in the socket already. Without one: nothing. */
static int
read_handoff(int fd, struct buf *room, struct handoff *out, struct err *e)
{
	size_t n, n_fds = 0;
	char *p;

	*out = (struct handoff){.tls_text = STR(""),
	    .client_id = STR(""),
	    .unread = STR(""),
	    .raw = STR("")};
	if (fd == -1)
		return 0;
	p = buf_room(room, MSG_MAX_BYTES);
	switch (fd_recv(fd, p, MSG_MAX_BYTES, &n, NULL, &n_fds, true, e)) {
	case STEP_DONE:
		room->n = n;
		/* Wiping what was never written would touch 32 pages. */
		buf_shrink(room);
		return handoff_parse(buf_str(room), out, e);
	case STEP_MORE:
		return err_set(e, ERR_VIOLATION, "handoff: nothing there");
	case STEP_FAIL:
		break;
	}
	return -1;
}

static void
begin(struct host *h, int fd, const struct session_connection *m,
    const struct handoff *ho, struct tls_record *tls)
{
	const struct host_peer p = {
	    .session_id = m->session,
	    .tag = m->tag,
	    .user = m->user,
	    .remote_ip = m->remote_ip,
	    .local_ip = m->local_ip,
	    .remote_port = m->remote_port,
	    .local_port = m->local_port,
	    .tls = ho->tls_text,
	    .client_id = ho->client_id,
	};
	struct conn *c = conn_new(h->loop, fd, fd, &turns_no_handlers, NULL);

	if (tls != NULL)
		conn_start_tls(c, tls);
	if (ho->unread.n > 0)
		conn_unread(c, ho->unread);
	if (ho->raw.n > 0)
		conn_unread_wire(c, ho->raw);
	tell_number(h, SESSION_HAVE, m->session);
	ev_timer_stop(h->loop, &h->linger);
	log_debug("session begins user=<%.*s> session=%llu rip=%.*s tls=%.*s",
	    STR_ARG(m->user), (unsigned long long)m->session,
	    STR_ARG(m->remote_ip), STR_ARG(ho->tls_text));
	if (!turns_add(h, &c, &p)) {
		tell_number(h, SESSION_END, m->session);
		intake_idle(h);
	}
}

static int
on_connection(struct chan *ch, struct chan_msg *cm, void *arg, struct err *e)
{
	struct host *h = arg;
	struct session_connection m;
	struct tls_record *tls = NULL;
	struct handoff ho;
	struct buf room;
	struct err why;

	(void)ch;
	if (session_connection_parse(&cm->in, &m, e) == -1)
		return -1;
	buf_init(&room, MSG_MAX_BYTES);
	if (h->broken != NULL)
		(void)err_set(&why, ERR_OTHER, "%s", h->broken);
	else if (h->ending)
		(void)err_set(&why, ERR_OTHER, "shutting down");
	else if (read_handoff(
		     cm->n_fds == 2 ? cm->fds[1] : -1, &room, &ho, &why) == 0 &&
	    (ho.version == 0 || make_tls(&ho, &tls, &why) == 0)) {
		begin(h, chan_take_fd(cm, 0), &m, &ho, tls);
		goto out;
	}
	/* What is broken has been said once, as an error. */
	if (h->broken == NULL)
		log_warn("session refused user=<%.*s> rip=%.*s reason=\"%s\"",
		    STR_ARG(m.user), STR_ARG(m.remote_ip), why.text);
	tell_text(h, SESSION_REFUSE, m.session, str_of(why.text));
	/* A mail place that can not be opened may be mended meanwhile: the
	 * next connection gets a new process. */
	if (h->broken != NULL)
		host_leave(h, h->broken);
out:
	buf_wipe(&room);
	buf_done(&room);
	return 0;
}

/* The words for the client, without anything that ends a line. */
static void
take_words(struct str from, char *to, size_t size, const char *otherwise)
{
	size_t i;

	if (from.n == 0)
		from = str_of(otherwise);
	for (i = 0; i < from.n && i < size - 1; i++)
		to[i] = from.p[i] < ' ' || from.p[i] == 127 ? ' ' : from.p[i];
	to[i] = '\0';
}

static int
on_kick(struct chan *ch, struct chan_msg *cm, void *arg, struct err *e)
{
	struct host *h = arg;
	struct session_text m;
	char why[SESSION_TEXT_MAX + 1];

	(void)ch;
	if (session_text_parse(&cm->in, &m, e) == -1)
		return -1;
	take_words(m.text, why, sizeof(why), "Closed by the administrator");
	if (m.session != 0)
		turns_end(h, m.session, why);
	return 0;
}

static int
on_stop(struct chan *ch, struct chan_msg *cm, void *arg, struct err *e)
{
	char why[SESSION_TEXT_MAX + 1];
	struct str text;

	(void)ch;
	if (session_stop_parse(&cm->in, &text, e) == -1)
		return -1;
	take_words(text, why, sizeof(why), "Server is shutting down");
	host_leave(arg, why);
	return 0;
}

static int
on_spool(struct chan *ch, struct chan_msg *cm, void *arg, struct err *e)
{
	(void)ch;
	if (session_spool_parse(&cm->in, e) == -1)
		return -1;
	spool_channel(arg, cm->n_fds == 1 ? chan_take_fd(cm, 0) : -1);
	return 0;
}

static void
on_close(struct chan *ch, const struct err *why, void *arg)
{
	struct host *h = arg;

	if (why->code == ERR_VIOLATION)
		log_error("channel to master: %s", why->text);
	chan_free(&ch);
	h->master = NULL;
	/* Master lets us go, or has died: sessions go on to their end. */
	if (h->n_sessions == 0)
		host_leave(h, "");
}

/* The sessions there are have all descriptors that this process may have. */
static int
on_lost(UNUSED struct chan *ch, struct msg_in *in, void *arg, struct err *e)
{
	struct host *h = arg;
	struct session_connection m;
	struct err why = *e;

	if (in->type == SESSION_SPOOL_IS) {
		log_warn("channel to spoold is lost reason=\"%s\"", why.text);
		spool_channel(h, -1);
		return 0;
	}
	if (session_connection_parse(in, &m, e) == -1)
		return -1;
	log_warn("session refused user=<%.*s> rip=%.*s reason=\"%s\"",
	    STR_ARG(m.user), STR_ARG(m.remote_ip), why.text);
	tell_text(h, SESSION_REFUSE, m.session, str_of(why.text));
	return 0;
}

static const struct chan_entry entries[] = {
    {SESSION_CONNECTION, 1, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_connection},
    {SESSION_CONNECTION, 2, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_connection},
    {SESSION_KICK, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_kick},
    {SESSION_STOP, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_stop},
    {SESSION_SPOOL_IS, 0, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_spool},
    {SESSION_SPOOL_IS, 1, CHAN_ANY_STATE, SESSION_FRAME_MAX, on_spool},
};

static const struct chan_def def = {
    .name = "master",
    .entries = entries,
    .n_entries = ARRAY_LEN(entries),
    .on_close = on_close,
    .on_lost = on_lost,
};

/* ---- begin and end ------------------------------------------------------- */

static void
on_linger(struct ev_loop *loop, ev_timer *w, UNUSED int revents)
{
	struct host *h = w->data;
	struct buf *frame = chan_frame();

	ev_timer_stop(loop, w);
	if (h->n_sessions > 0)
		return;
	if (h->master == NULL) {
		host_leave(h, "");
		return;
	}
	session_leaving_write(frame);
	send_frame(h, frame);
}

bool
intake_ask_spool(struct host *h)
{
	struct buf *frame = chan_frame();

	if (h->master == NULL)
		return false;
	session_spool_write(frame);
	send_frame(h, frame);
	return true;
}

void
intake_idle(struct host *h)
{
	if (h->n_sessions > 0 || h->ending)
		return;
	if (h->master == NULL) {
		host_leave(h, "");
		return;
	}
	ev_timer_stop(h->loop, &h->linger);
	ev_timer_set(&h->linger,
	    (double)host_setting_seconds(h, "process_linger", LINGER_S), 0.);
	ev_timer_start(h->loop, &h->linger);
}

static void
put_setting(struct host *h, const struct child_settings *cs, size_t i)
{
	const char *name = cs->v[i].name, *before;
	struct str value = str_of(cs->v[i].value);

	/* Long, and of no use once it is in force. */
	if (strcmp(name, "sandbox_filter") == 0)
		return;
	/* The values of a list come one by one. */
	if (i > 0 && strcmp(name, cs->v[i - 1].name) == 0) {
		before = settings_get(&h->settings, name);
		value = arena_printf(
		    &h->settings.arena, "%s %.*s", before, STR_ARG(value));
	}
	settings_put(&h->settings, str_of(name), value);
}

void
intake_put_settings(struct host *h, const struct child_settings *cs)
{
	size_t i;

	for (i = 0; i < cs->n; i++)
		put_setting(h, cs, i);
}

/*
 * Master starts us as root and says who to be: before the exec the user could
 * have stopped the child, with master waiting for it. Nothing but the settings
 * has been looked at by now. Started by a holder, the user is who we are.
 */
static void
become_user(const struct child_settings *cs)
{
	uint64_t uid = child_setting_u64(cs, "self_uid", UINT64_MAX);
	uint64_t gid = child_setting_u64(cs, "self_gid", UINT64_MAX);
	struct err e;

	if (uid < UINT32_MAX && gid < UINT32_MAX &&
	    priv_drop((uid_t)uid, (gid_t)gid, NULL, 0, &e) == -1)
		log_fatal("can not become the user: %s", e.text);
}

bool
intake_start(struct host *h)
{
	struct child_settings cs;
	const char *user;
	char name[USER_NAME_MAX + 16];
	struct err e;

	if (!child_is_masters())
		return false;
	if (child_start(h->ops->service, &cs, &e) == -1)
		log_fatal("%s", e.text);
	become_user(&cs);
	h->filter = mem_strdup(child_setting_or(&cs, "sandbox_filter", ""));
	intake_put_settings(h, &cs);
	child_settings_done(&cs);
	user = host_setting(h, "user");
	if (user == NULL || host_setting(h, "home") == NULL)
		log_fatal("settings without user or home");
	h->user = mem_strdup(user);
	h->home = mem_strdup(host_setting(h, "home"));
	(void)snprintf(name, sizeof(name), "%sd(%s)", h->ops->service, user);
	log_set_process(name);
	return true;
}

void
intake_open(struct host *h)
{
	ev_timer_init(&h->linger, on_linger, LINGER_S, 0.);
	h->linger.data = h;
	h->master = chan_new(h->loop, CHILD_FD_MASTER, &def, h);
	spool_open(h);
	intake_idle(h);
}

void
intake_close(struct host *h)
{
	ev_timer_stop(h->loop, &h->linger);
	chan_free(&h->master);
}
