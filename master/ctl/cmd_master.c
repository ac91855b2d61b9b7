/* SPDX-License-Identifier: ISC */
/*
 * cmd_master.c - who, kick, status, reload, stop: asks the running master.
 *
 * Owns:    the connection to master's control socket.
 * Runs in: restantectl.
 * Trusts:  master; user names and client words in its answers are quoted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/vec.h"
#include "ctl.h"
#include "ipc/chan_ctl.h"
#include "ipc/chan_wait.h"

#define OUTPUT_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define ANSWER_WAIT_MS 30000
#define STOP_WAIT_MS 30000 /* master kills what does not end in 8 */

#define MOMENT_MAX 48
#define ZONE_BYTES 5 /* of strftime's %z */

/* One row of an answer: the frame that it lies in, and the slices. */
struct row {
	char *frame;
	struct ctl_row fields;
	char moment[MOMENT_MAX]; /* how a moment in it is shown */
};

struct answer {
	VEC(struct row) rows;
	bool ok;
	char text[CTL_TEXT_MAX + 1];
};

static int
open_control(const struct ctl_options *o, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct conf *conf = NULL;
	int fd, n;

	if (ctl_load(o, &conf) == -1)
		return err_set(e, ERR_SYNTAX, "the configuration is wrong");
	n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s",
	    conf_item(conf, schema_find(STR("run_dir")), SCHEMA_GLOBAL, 0),
	    CTL_CONTROL_SOCKET);
	conf_free(&conf);
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return err_set(e, ERR_LIMIT, "run_dir is too long");
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_sys(e, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
		err_sys(e, "no server answers at %s", address.sun_path);
		close(fd);
		return -1;
	}
	return fd;
}

/* Takes one message of the answer; STEP_DONE at its end. */
static enum step
take_message(
    struct answer *a, const struct buf *room, struct msg_in *in, struct err *e)
{
	struct ctl_end end;
	struct row *row;
	struct str kept;

	if (in->type == CTL_END) {
		if (ctl_end_parse(in, &end, e) == -1)
			return STEP_FAIL;
		a->ok = end.ok;
		(void)snprintf(
		    a->text, sizeof(a->text), "%.*s", STR_ARG(end.text));
		return STEP_DONE;
	}
	if (in->type != CTL_ROW) {
		err_set(e, ERR_VIOLATION, "unexpected message %u", in->type);
		return STEP_FAIL;
	}
	/* The slices must outlive the next message: parse a copy. */
	row = VEC_ADD(&a->rows);
	row->frame = mem_dup(room->p, room->n);
	kept = str_make(row->frame, room->n);
	if (msg_parse(kept, in, e) == -1 ||
	    ctl_row_parse(in, &row->fields, e) == -1)
		return STEP_FAIL;
	return STEP_MORE;
}

static int
ask(const struct ctl_options *o, const struct ctl_request *request,
    struct answer *a, struct err *e)
{
	int64_t deadline_ms = clock_mono_ms() + ANSWER_WAIT_MS;
	enum step step = STEP_FAIL;
	struct buf frame, room;
	struct msg_in in;
	int fd;

	fd = open_control(o, e);
	if (fd == -1)
		return -1;
	buf_init(&frame, CTL_FRAME_MAX);
	buf_init(&room, CTL_FRAME_MAX);
	ctl_request_write(request, &frame);
	if (chan_send_wait(fd, &frame, NULL, 0, deadline_ms, e) == 0) {
		do {
			step = STEP_FAIL;
			if (chan_recv_wait(fd, 0, &room, &in, NULL, 0,
				deadline_ms, e) == 0)
				step = take_message(a, &room, &in, e);
		} while (step == STEP_MORE);
	}
	buf_done(&frame);
	buf_done(&room);
	close(fd);
	return step == STEP_DONE ? 0 : -1;
}

static void
answer_done(struct answer *a)
{
	VEC_EACH(&a->rows, row)
		free(row->frame);
	VEC_DONE(&a->rows);
}

/* ---- output ------------------------------------------------------------------ */

static void
add_json(struct buf *out, const struct answer *a)
{
	buf_addf(out, "{\"ok\": %s, \"text\": ", a->ok ? "true" : "false");
	ctl_json_string(out, str_of(a->text));
	buf_add_c(out, ", \"rows\": [");
	for (size_t i = 0; i < a->rows.n; i++) {
		const struct ctl_row *row = &a->rows.v[i].fields;

		buf_add_c(out, i == 0 ? "\n  {" : ",\n  {");
		for (size_t j = 0; j < row->n_fields; j++) {
			if (j > 0)
				buf_add_c(out, ", ");
			ctl_json_string(out, row->fields[j].name);
			buf_add_c(out, ": ");
			if (row->fields[j].is_number)
				buf_add_str(out, row->fields[j].value);
			else
				ctl_json_string(out, row->fields[j].value);
		}
		buf_add_c(out, "}");
	}
	buf_add_c(out, "]}\n");
}

/* Moments are told as seconds since 1970; people read local time, ISO 8601. */
static bool
is_moment(const struct ctl_value *f)
{
	return f->is_number && str_eq(f->name, STR("since"));
}

static void
show_moments(struct answer *a)
{
	VEC_EACH(&a->rows, row)
		for (size_t i = 0; i < row->fields.n_fields; i++) {
			struct ctl_value *f = &row->fields.fields[i];
			char *to = row->moment;
			uint64_t at;
			time_t t;
			struct tm tm;
			size_t n;

			if (!is_moment(f) ||
			    !num_parse_u64(f->value, 0, INT64_MAX, &at))
				continue;
			t = (time_t)at;
			if (localtime_r(&t, &tm) == NULL)
				continue;
			n = strftime(
			    to, MOMENT_MAX - 1, "%Y-%m-%dT%H:%M:%S%z", &tm);
			if (n < ZONE_BYTES)
				continue;
			/* "+0100" has a colon in the form with dashes. */
			memmove(to + n - 1, to + n - 2, 2);
			to[n - 2] = ':';
			f->value = str_make(to, n + 1);
		}
}

static bool
has_same_columns(const struct ctl_row *a, const struct ctl_row *b)
{
	if (a->n_fields != b->n_fields)
		return false;
	for (size_t i = 0; i < a->n_fields; i++)
		if (!str_eq(a->fields[i].name, b->fields[i].name))
			return false;
	return true;
}

static void
add_cell(struct buf *out, struct str text, size_t width, bool right, bool last)
{
	size_t pad = text.n < width ? width - text.n : 0;

	for (size_t i = 0; right && i < pad; i++)
		buf_add_byte(out, ' ');
	log_add_safe(out, text);
	for (size_t i = 0; !right && !last && i < pad; i++)
		buf_add_byte(out, ' ');
	buf_add_c(out, last ? "\n" : "  ");
}

/* Rows [from, to) have the same columns: a table with a line of names. */
static void
add_table(struct buf *out, const struct answer *a, size_t from, size_t to)
{
	const struct ctl_row *first = &a->rows.v[from].fields;
	size_t width[CTL_FIELDS_MAX], n = first->n_fields;

	for (size_t j = 0; j < n; j++) {
		width[j] = first->fields[j].name.n;
		for (size_t i = from; i < to; i++) {
			size_t w = a->rows.v[i].fields.fields[j].value.n;

			if (w > width[j])
				width[j] = w;
		}
	}
	for (size_t j = 0; j < n; j++)
		add_cell(out, first->fields[j].name, width[j],
		    first->fields[j].is_number, j + 1 == n);
	for (size_t i = from; i < to; i++)
		for (size_t j = 0; j < n; j++)
			add_cell(out, a->rows.v[i].fields.fields[j].value,
			    width[j], a->rows.v[i].fields.fields[j].is_number,
			    j + 1 == n);
}

/* A row alone reads better as a list. */
static void
add_list(struct buf *out, const struct ctl_row *row)
{
	for (size_t j = 0; j < row->n_fields; j++) {
		log_add_safe(out, row->fields[j].name);
		buf_add_c(out, ": ");
		log_add_safe(out, row->fields[j].value);
		buf_add_c(out, "\n");
	}
}

static void
add_text(struct buf *out, const struct answer *a, bool as_list)
{
	size_t from = 0, to;

	for (; from < a->rows.n; from = to) {
		for (to = from + 1; to < a->rows.n; to++)
			if (!has_same_columns(
				&a->rows.v[from].fields, &a->rows.v[to].fields))
				break;
		if (from > 0)
			buf_add_c(out, "\n");
		if (as_list && to == from + 1)
			add_list(out, &a->rows.v[from].fields);
		else
			add_table(out, a, from, to);
	}
	if (a->ok && a->text[0] != '\0') {
		log_add_safe(out, str_of(a->text));
		buf_add_c(out, "\n");
	}
}

static int
ask_and_print(const struct ctl_options *o, const struct ctl_request *request,
    bool as_list)
{
	struct answer a = {0};
	struct buf out;
	struct err e;
	int status;

	if (ask(o, request, &a, &e) == -1) {
		answer_done(&a);
		return ctl_complain("%s", e.text);
	}
	buf_init(&out, OUTPUT_MAX_BYTES);
	if (o->json)
		add_json(&out, &a);
	else {
		show_moments(&a);
		add_text(&out, &a, as_list);
	}
	status = ctl_print(&out);
	if (!a.ok) {
		status = 1;
		if (!o->json)
			(void)ctl_complain("%s", a.text);
	}
	buf_done(&out);
	answer_done(&a);
	return status;
}

/* ---- commands ------------------------------------------------------------------ */

static bool
add_argument(struct ctl_request *r, const char *name, const char *value)
{
	if (r->n_args == CTL_ARGS_MAX)
		return false;
	r->args[r->n_args].name = str_of(name);
	r->args[r->n_args++].value = str_of(value);
	return true;
}

int
ctl_count_sessions(const struct ctl_options *o, const char *user, size_t *n)
{
	struct ctl_request r = {.verb = STR("who")};
	struct answer a = {0};
	struct err e;
	int rc;

	(void)add_argument(&r, "user", user);
	rc = ask(o, &r, &a, &e) == 0 && a.ok ? 0 : -1;
	if (rc == 0)
		*n = a.rows.n;
	answer_done(&a);
	return rc;
}

/* A value that could fit no session is a slip: say so rather than "0 sessions".
 * NULL when it may fit, otherwise what it should be. */
static const char *
filter_is_wrong(const char *name, const char *value)
{
	struct in6_addr room;
	uint64_t number;

	switch (name[0]) {
	case 's':
		if (str_eq(str_of(name), STR("session")))
			return num_parse_u64(
				   str_of(value), 1, UINT64_MAX, &number)
			    ? NULL
			    : "who shows the numbers of sessions";
		return str_eq(str_of(value), STR("imap")) ||
			str_eq(str_of(value), STR("pop3"))
		    ? NULL
		    : "there are imap and pop3";
	case 'i':
		return inet_pton(AF_INET, value, &room) == 1 ||
			inet_pton(AF_INET6, value, &room) == 1
		    ? NULL
		    : "that is no IP address";
	default:
		return NULL;
	}
}

/* The option --NAME of those that choose sessions; NULL: there is none. */
static const char *
filter_name(const char *option)
{
	static const char *const NAMES[] = {"user", "service", "ip", "session"};
	struct str name = str_of(option);

	for (size_t j = 0; str_starts(name, STR("--")) && j < ARRAY_LEN(NAMES);
	     j++)
		if (str_eq(str_skip(name, 2), str_of(NAMES[j])))
			return NAMES[j];
	return NULL;
}

/* Options --user, --service, --ip, --session with their values. 0, or the exit
 * status. */
static int
take_filters(struct ctl_request *r, int argc, char **argv, bool bare_user)
{
	for (int i = 1; i < argc; i++) {
		const char *name = filter_name(argv[i]), *why;

		if (bare_user && argv[i][0] != '-') {
			name = "user";
		} else if (name == NULL || i + 1 >= argc) {
			return ctl_usage(
			    "%s: unknown, or without its value", argv[i]);
		} else {
			i++;
		}
		why = filter_is_wrong(name, argv[i]);
		if (why != NULL)
			return ctl_usage("--%s %s: %s", name, argv[i], why);
		if (!add_argument(r, name, argv[i]))
			return ctl_usage("too many options");
	}
	return 0;
}

int
ctl_who(const struct ctl_options *o, int argc, char **argv)
{
	struct ctl_request r = {.verb = STR("who")};

	int status = take_filters(&r, argc, argv, false);

	if (status != 0)
		return status;
	return ask_and_print(o, &r, false);
}

int
ctl_kick(const struct ctl_options *o, int argc, char **argv)
{
	struct ctl_request r = {.verb = STR("kick")};

	int status = take_filters(&r, argc, argv, true);

	if (status != 0)
		return status;
	if (r.n_args == 0)
		return ctl_usage("say whose sessions, or which");
	return ask_and_print(o, &r, false);
}

/* A descriptor of the server's process; -1: it can not be waited for. */
static int
server_pidfd(const struct ctl_options *o)
{
	struct ucred peer = {0};
	socklen_t n = sizeof(peer);
	struct err e;
	int fd = open_control(o, &e), pidfd = -1;

	if (fd == -1)
		return -1;
	/* In another PID namespace it has none that we could name. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	    peer.pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	close(fd);
	return pidfd;
}

/* Until the server has ended; false: it has not in STOP_WAIT_MS. */
static bool
wait_for_end(int pidfd)
{
	int64_t deadline_ms = clock_mono_ms() + STOP_WAIT_MS, left;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	while ((left = deadline_ms - clock_mono_ms()) > 0) {
		int n = poll(&p, 1, (int)left);

		if (n > 0)
			return true;
		if (n == -1 && errno != EINTR)
			break;
	}
	return false;
}

/* The server answers first and ends its sessions then. */
static int
stop(const struct ctl_options *o, const struct ctl_request *r)
{
	int pidfd = server_pidfd(o), status = ask_and_print(o, r, true);

	if (status == 0 && pidfd != -1 && !wait_for_end(pidfd))
		status = ctl_complain("the server has not ended in %d seconds, "
				      "see its log",
		    STOP_WAIT_MS / 1000);
	if (pidfd != -1)
		close(pidfd);
	return status;
}

int
ctl_simple(const struct ctl_options *o, int argc, char **argv)
{
	struct ctl_request r = {.verb = str_of(argv[0])};

	if (argc != 1)
		return ctl_usage("it takes no arguments");
	if (str_eq(r.verb, STR("stop")))
		return stop(o, &r);
	return ask_and_print(o, &r, true);
}
