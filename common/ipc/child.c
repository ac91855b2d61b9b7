/* SPDX-License-Identifier: ISC */
/*
 * child.c - what a process started by master was given.
 *
 * Owns:    struct child_settings.
 * Runs in: every process but master; master writes the lines.
 * Trusts:  master.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "ipc/child.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "ipc/chan.h"
#include "ipc/chan_child.h"
#include "ipc/chan_log.h"
#include "os/fd.h"

bool
child_settings_add(struct buf *out, const char *name, struct str value)
{
	if (str_find(value, '\n') != value.n ||
	    str_find(value, '\0') != value.n)
		return false;
	return buf_addf(out, "%s = ", name) && buf_add_str(out, value) &&
	    buf_add_byte(out, '\n');
}

int
child_settings_parse(struct str bytes, struct child_settings *s, struct err *e)
{
	struct child_settings got = {0};
	size_t lines = 0;

	for (size_t i = 0; i < bytes.n; i++)
		lines += bytes.p[i] == '\n';
	got.bytes = str_to_heap(bytes);
	got.v = mem_new(lines + 1, sizeof(*got.v));
	for (char *at = got.bytes; *at != '\0';) {
		char *end = strchr(at, '\n'), *mid = strstr(at, " =");

		/* "name =": a list without values. */
		if (end == NULL || mid == NULL || mid + 2 > end || mid == at ||
		    (mid[2] != ' ' && mid + 2 != end)) {
			err_set(e, ERR_CORRUPT, "settings line %zu", got.n + 1);
			child_settings_done(&got);
			return -1;
		}
		*mid = *end = '\0';
		got.v[got.n].name = at;
		got.v[got.n++].value = mid + 2 == end ? end : mid + 3;
		at = end + 1;
	}
	*s = got;
	return 0;
}

/* What is the user's own lies in the channel, since before our start. */
static int
receive_own(struct buf *b, struct err *e)
{
	char *room = mem_new(1, CHILD_SETTINGS_OWN_MAX);
	size_t n = 0, n_fds = 0;
	int rc = -1;

	switch (fd_recv(CHILD_FD_MASTER, room, CHILD_SETTINGS_OWN_MAX, &n, NULL,
	    &n_fds, true, e)) {
	case STEP_DONE:
		rc =
		    buf_add(b, room, n) ? 0 : err_set(e, ERR_LIMIT, "too long");
		break;
	case STEP_MORE:
		err_set(e, ERR_VIOLATION, "the user's own are not there");
		break;
	case STEP_FAIL:
		break;
	}
	free(room);
	return rc;
}

static int
load_given(struct child_settings *s, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, CHILD_SETTINGS_MAX);
	rc = fd_read_file(CHILD_FD_SETTINGS, &b, e);
	if (rc == 0 && str_ends(buf_str(&b), STR(CHILD_SETTINGS_FOLLOW)))
		rc = receive_own(&b, e);
	if (rc == 0)
		rc = child_settings_parse(buf_str(&b), s, e);
	buf_done(&b);
	return rc;
}

int
child_settings_load(int fd, struct child_settings *s, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, CHILD_SETTINGS_MAX);
	rc = fd_read_all(fd, &b, e);
	if (rc == 0)
		rc = child_settings_parse(buf_str(&b), s, e);
	buf_done(&b);
	return rc;
}

void
child_settings_done(struct child_settings *s)
{
	free(s->v);
	free(s->bytes);
	*s = (struct child_settings){0};
}

const char *
child_setting(const struct child_settings *s, const char *name)
{
	for (size_t i = s->n; i > 0; i--)
		if (strcmp(s->v[i - 1].name, name) == 0)
			return s->v[i - 1].value;
	return NULL;
}

const char *
child_setting_or(
    const struct child_settings *s, const char *name, const char *other)
{
	const char *v = child_setting(s, name);

	return v == NULL || *v == '\0' ? other : v;
}

bool
child_setting_bool(const struct child_settings *s, const char *name, bool other)
{
	const char *v = child_setting(s, name);

	return v == NULL ? other : strcmp(v, "yes") == 0;
}

uint64_t
child_setting_u64(
    const struct child_settings *s, const char *name, uint64_t other)
{
	const char *v = child_setting(s, name);
	uint64_t n;

	return v != NULL && num_parse_u64(str_of(v), 0, UINT64_MAX, &n) ? n
									: other;
}

const char *
child_setting_next(const struct child_settings *s, const char *name, size_t *i)
{
	while (*i < s->n) {
		const struct child_setting *v = &s->v[(*i)++];

		if (strcmp(v->name, name) == 0 && v->value[0] != '\0')
			return v->value;
	}
	return NULL;
}

static bool
is_channel(int fd)
{
	int type;
	socklen_t n = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
	    type == SOCK_SEQPACKET;
}

bool
child_is_masters(void)
{
	return is_channel(CHILD_FD_MASTER) && is_channel(CHILD_FD_LOG);
}

static void
set_level(const char *name)
{
	for (int i = LOG_LEVEL_DEBUG; i <= LOG_LEVEL_ERROR; i++)
		if (strcmp(log_level_name((enum log_level)i), name) == 0)
			log_set_level((enum log_level)i);
}

int
child_start(const char *process, struct child_settings *s, struct err *e)
{
	int fd = CHILD_FD_SETTINGS;

	log_set_process(process);
	if (!child_is_masters())
		return err_set(e, ERR_OTHER,
		    "%s is started by restanted, not by hand", process);
	if (fd_set_cloexec(CHILD_FD_MASTER, true, e) == -1 ||
	    fd_set_cloexec(CHILD_FD_LOG, true, e) == -1)
		return -1;
	chan_log_use(CHILD_FD_LOG);
	if (load_given(s, e) == -1)
		return err_in(e, "settings");
	fd_close(&fd);
	set_level(child_setting_or(s, "log_level", "info"));
	return 0;
}

int
child_confine(const struct child_settings *s, enum sandbox_profile profile,
    struct sandbox_report *r, struct err *e)
{
	struct sandbox sb = {
	    .profile = profile, .root = child_setting_or(s, "self_root", NULL)};
	uint64_t uid = child_setting_u64(s, "self_uid", UINT64_MAX);
	uint64_t gid = child_setting_u64(s, "self_gid", UINT64_MAX);

	if (uid < UINT32_MAX && gid < UINT32_MAX) {
		sb.change_ids = true;
		sb.sysuid = (uid_t)uid;
		sb.sysgid = (gid_t)gid;
	}
	return sandbox_enter(&sb, r, e);
}

void
child_master_closed(struct chan *c, const struct err *why, const char *process)
{
	struct buf frame;
	struct err ignored;

	if (why->code == ERR_CLOSED)
		exit(0);
	buf_init(&frame, CHILD_FRAME_MAX);
	child_failed_write(str_of(why->text), &frame);
	(void)fd_send(chan_fd(c), buf_str(&frame), NULL, 0, true, &ignored);
	log_fatal("%s ends reason=%s", process, why->text);
}
