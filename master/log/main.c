/* SPDX-License-Identifier: ISC */
/*
 * main.c - logd: log lines of all processes to a file, standard error or syslog.
 *
 * Owns:    the log file or syslog socket, the receiving end of each process.
 * Runs in: logd, as the log user, in an empty root.
 * Trusts:  master. Lines may come from taken-over processes: who speaks is the
 *          descriptor, what it says is quoted, how much is limited by turns.
 */
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "ipc/chan.h"
#include "ipc/chan_child.h"
#include "ipc/chan_log.h"
#include "ipc/child.h"
#include "log/line.h"
#include "os/fd.h"
#include "os/proc.h"

/* Lines are gathered so long, unless there were that many since. */
#define GATHER_S 0.005
#define GATHER_BYTES ((size_t)16 * 1024)
#define BUSY_LINES 16
#define SYSLOG_WAIT_MS 100
/* How soon the rest of a line is tried again, and how long at the end. */
#define TAIL_S 0.1
#define TAIL_END_MS 1000

struct source {
	struct list link;
	struct chan *chan;
	struct line_source who;
	char name[];
};

struct logd {
	struct ev_loop *loop;
	struct chan *master;
	struct list sources;
	struct child_settings settings;
	int out_fd;
	bool syslog; /* out_fd is a datagram socket */
	bool asked_reopen; /* until a new descriptor comes */
	bool started, ending;
	unsigned long lost; /* lines, not told yet */
	unsigned long telling; /* of these, in a line that is gathered */
	struct buf line; /* what has not been written yet */
	struct buf tail; /* of a line whose head has been written */
	ev_timer tail_timer; /* wakes the loop, which flushes */
	bool pipe; /* out_fd is a pipe or FIFO */
	unsigned long gathered, in_round; /* lines in it, in this round */
};

/* ---- output ---- */

static void
ask_reopen(struct logd *d)
{
	struct buf *b = chan_frame();
	struct err e;

	if (d->asked_reopen || d->master == NULL)
		return;
	d->asked_reopen = true;
	log_reopen_write(b);
	(void)chan_send(d->master, b, NULL, 0, &e);
}

/*
 * syslog's socket holds ten datagrams (net.unix.max_dgram_qlen): a burst waits a
 * little, unless the line before has waited in vain.
 */
static bool
send_to_syslog(struct logd *d)
{
	struct err e;

	if (send(d->out_fd, d->line.p, d->line.n, MSG_NOSIGNAL) != -1)
		return true;
	if (errno != EAGAIN || d->lost > 0 || d->telling > 0)
		return false;
	if (fd_wait(d->out_fd, true, clock_mono_ms() + SYSLOG_WAIT_MS, &e) ==
	    -1) {
		errno = EAGAIN;
		return false;
	}
	return send(d->out_fd, d->line.p, d->line.n, MSG_NOSIGNAL) != -1;
}

/*
 * How much goes out at once. In a pipe others' lines lie between ours, and one
 * that is nearly full takes a part: up to PIPE_BUF bytes go whole or not at all
 * (pipe(7)), so these are whole lines, or a line that is longer itself.
 */
static size_t
piece_bytes(const struct logd *d, struct str left)
{
	size_t n = 0, line;

	if (!d->pipe)
		return left.n;
	while (n < left.n) {
		line = str_find(str_skip(left, n), '\n') + 1;
		if (line > left.n - n)
			line = left.n - n;
		if (n > 0 && n + line > PIPE_BUF)
			break;
		n += line;
	}
	return n;
}

/* Writes until all is written or nothing more goes; *left is the rest. */
static bool
write_out(const struct logd *d, struct str *left)
{
	while (left->n > 0) {
		ssize_t n = write(d->out_fd, left->p, piece_bytes(d, *left));

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return false;
		*left = str_skip(*left, (size_t)n);
	}
	return true;
}

/* A line that has begun is finished before anything else is written. */
static bool
finish_tail(struct logd *d)
{
	struct str left = buf_str(&d->tail);
	bool done = write_out(d, &left);

	buf_drop(&d->tail, d->tail.n - left.n);
	return done;
}

/* Of lines that wait, `n` are out, or will be: the first may tell of others. */
static void
count_out(struct logd *d, unsigned long n)
{
	if (n > 0 && d->telling > 0) {
		d->telling = 0;
		n--;
	}
	d->gathered -= n < d->gathered ? n : d->gathered;
}

static bool
put_lines(struct logd *d)
{
	struct str all = buf_str(&d->line), left = all, rest;
	unsigned long n_out = 0;
	size_t cut;
	int why;

	if (!finish_tail(d))
		return false;
	if (write_out(d, &left))
		return true;
	why = errno;
	cut = all.n - left.n;
	for (size_t i = 0; i < cut; i++)
		n_out += all.p[i] == '\n';
	if (cut > 0 && all.p[cut - 1] != '\n') {
		rest = left;
		(void)str_cut(&rest, '\n', &left);
		(void)buf_add_str(&d->tail, left);
		(void)buf_add_byte(&d->tail, '\n');
		n_out++;
	}
	count_out(d, n_out);
	errno = why;
	return false;
}

/* Writes what has been gathered: lines for a file, one for syslog. */
static void
flush(struct logd *d)
{
	bool ok;

	errno = 0;
	if (d->line.n > 0 || d->tail.n > 0) {
		ok = d->out_fd != -1 &&
		    (d->syslog ? send_to_syslog(d) : put_lines(d));
		if (!ok) {
			d->lost += d->gathered + d->telling;
			/* A queue that is full is not broken. */
			if (errno != EAGAIN)
				ask_reopen(d);
		}
	}
	buf_clear(&d->line);
	d->gathered = d->telling = 0;
}

/* The rest of a line is nothing to begin another file with. */
static void
take_target(struct logd *d, int fd, bool is_syslog)
{
	struct stat st;

	flush(d);
	if (d->tail.n > 0)
		d->lost++;
	buf_clear(&d->tail);
	fd_close(&d->out_fd);
	d->out_fd = fd;
	d->syslog = is_syslog;
	d->pipe = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static void put_own(struct logd *d, enum log_level level, const char *text);

/* Ahead of the next line that may get through. */
static void
tell_lost(struct logd *d)
{
	char text[80];

	if (d->lost == 0 || d->asked_reopen || d->telling > 0)
		return;
	(void)snprintf(text, sizeof(text), "log lines lost count=%lu", d->lost);
	d->telling = d->lost;
	d->lost = 0;
	put_own(d, LOG_LEVEL_WARN, text);
	/* Itself it is none of them. */
	if (d->gathered > 0)
		d->gathered--;
	else if (d->lost > 0)
		d->lost--;
}

static void
put(struct logd *d, const struct line *l, const struct line_source *s)
{
	tell_lost(d);
	if (d->syslog)
		line_for_syslog(l, s, &d->line);
	else
		line_for_file(l, s, &d->line);
	d->gathered++;
	d->in_round++;
	if (d->syslog || d->line.n > GATHER_BYTES)
		flush(d);
}

static void
put_own(struct logd *d, enum log_level level, const char *text)
{
	struct line l = {
	    .level = level, .wall_us = clock_wall_us(), .text = str_of(text)};
	struct line_source s = {.name = "logd", .pid = (uint32_t)getpid()};

	put(d, &l, &s);
}

static void
own_sink(enum log_level level, const char *line, void *arg)
{
	put_own(arg, level, line);
	/* It may be our last word. */
	flush(arg);
}

/* ---- sources ---- */

static void
leave_when_done(struct logd *d)
{
	if (d->ending && list_is_empty(&d->sources))
		ev_break(d->loop, EVBREAK_ALL);
}

static void
source_closed(UNUSED struct chan *c, const struct err *why, void *arg)
{
	struct source *s = arg;

	if (why->code == ERR_VIOLATION)
		log_error("log channel broken process=%s reason=%s", s->name,
		    why->text);
	list_remove(&s->link);
	chan_free(&s->chan);
	free(s);
}

static int on_line(
    UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e);

static const struct chan_entry source_entries[] = {
    {LOG_LINE, 0, CHAN_ANY_STATE, LOG_FRAME_MAX, on_line}};
static const struct chan_def source_def = {.name = "log source",
    .entries = source_entries,
    .n_entries = ARRAY_LEN(source_entries),
    .on_close = source_closed};

static struct logd the_logd;

static int
on_line(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct source *s = arg;
	struct log_line got;
	struct line l;

	if (log_line_parse(&m->in, &got, e) == -1)
		return -1;
	l = (struct line){.level = got.level,
	    .wall_us = clock_wall_us(),
	    .detail = got.detail,
	    .text = got.line};
	put(&the_logd, &l, &s->who);
	return 0;
}

static int
on_source(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct logd *d = arg;
	struct log_source got;
	struct source *s;

	if (log_source_parse(&m->in, &got, e) == -1)
		return -1;
	s = mem_new(1, sizeof(*s) + got.name.n + 1);
	memcpy(s->name, got.name.p, got.name.n);
	s->who = (struct line_source){.name = s->name, .pid = got.pid};
	list_append(&d->sources, &s->link);
	s->chan = chan_new(d->loop, chan_take_fd(m, 0), &source_def, s);
	return 0;
}

/* ---- master ---- */

static int
on_file(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct logd *d = arg;
	struct child_file got;

	if (child_file_parse(&m->in, &got, e) == -1)
		return -1;
	take_target(d, chan_take_fd(m, 0), str_eq(got.role, STR("syslog")));
	d->asked_reopen = false;
	tell_lost(d);
	return 0;
}

static int
on_go(struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct logd *d = arg;
	struct sandbox_report report;
	struct buf *b;

	if (child_empty_parse(&m->in, e) == -1)
		return -1;
	/* The zone's file can not be read later. */
	tzset();
	if (child_confine(&d->settings, SANDBOX_LOGD, &report, e) == -1) {
		b = chan_frame();
		child_failed_write(str_of(e->text), b);
		(void)chan_send(c, b, NULL, 0, e);
		exit(1);
	}
	if (report.text[0] != '\0')
		log_info("%s", report.text);
	d->started = true;
	b = chan_frame();
	child_ready_write(b);
	return chan_send(c, b, NULL, 0, e);
}

/* The lines that are on their way come first: each source ends by itself. */
static int
on_stop(UNUSED struct chan *c, struct chan_msg *m, void *arg, struct err *e)
{
	struct logd *d = arg;
	struct str why;

	if (child_text_parse(&m->in, &why, e) == -1)
		return -1;
	d->ending = true;
	return 0;
}

/* Who sent it is no worse off than before. */
static int
on_lost(UNUSED struct chan *c, struct msg_in *in, void *arg, struct err *e)
{
	struct logd *d = arg;
	struct log_source got;
	struct err why = *e;

	if (in->type == LOG_SOURCE) {
		if (log_source_parse(in, &got, e) == -1)
			return -1;
		log_error("lines of a process can not be read process=%.*s "
			  "pid=%u reason=\"%s\"",
		    STR_ARG(got.name), got.pid, why.text);
		return 0;
	}
	/* A file or socket to write to: asked for again, if it is needed. */
	d->asked_reopen = false;
	log_error("the log can not be opened again reason=\"%s\"", why.text);
	return 0;
}

static void
master_closed(struct chan *c, UNUSED const struct err *why, void *arg)
{
	struct logd *d = arg;

	/* Sessions go on without master; we stay for their lines. */
	chan_free(&c);
	d->master = NULL;
	d->ending = true;
}

static const struct chan_entry master_entries[] = {
    {LOG_SOURCE, 1, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_source},
    {CHILD_FILE, 1, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_file},
    {CHILD_GO, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_go},
    {CHILD_STOP, 0, CHAN_ANY_STATE, CHILD_FRAME_MAX, on_stop},
};
static const struct chan_def master_def = {.name = "master",
    .entries = master_entries,
    .n_entries = ARRAY_LEN(master_entries),
    .on_close = master_closed,
    .on_lost = on_lost};

/* Whoever reads has had time; that the loop is awake is enough. */
static void
on_tail_time(UNUSED struct ev_loop *loop, UNUSED ev_timer *w, UNUSED int events)
{
}

/* Our last line is to end. */
static void
finish_at_end(struct logd *d)
{
	int64_t deadline_ms = clock_mono_ms() + TAIL_END_MS;
	struct err e;

	while (d->tail.n > 0 && d->out_fd != -1 && !finish_tail(d) &&
	    errno == EAGAIN && fd_wait(d->out_fd, true, deadline_ms, &e) == 0)
		;
}

static void
before_sleep(struct ev_loop *loop, ev_prepare *w, UNUSED int events)
{
	struct logd *d = w->data;

	flush(d);
	/* A login writes several lines: waking for each costs more than they
	 * do. Who writes many is not kept waiting. */
	ev_set_io_collect_interval(
	    loop, d->in_round > BUSY_LINES || d->ending ? 0. : GATHER_S);
	d->in_round = 0;
	if (d->tail.n > 0 && !ev_is_active(&d->tail_timer)) {
		ev_timer_set(&d->tail_timer, TAIL_S, 0);
		ev_timer_start(loop, &d->tail_timer);
	}
	leave_when_done(d);
}

int
main(int argc, char **argv)
{
	struct logd *d = &the_logd;
	ev_prepare prepare;
	struct err e;

	proc_title_init(argc, argv);
	if (child_start("logd", &d->settings, &e) == -1)
		log_fatal("%s", e.text);
	proc_title("logd");
	/* Who reads standard error, or a FIFO, may go and come. */
	if (sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN},
		NULL) == -1)
		log_fatal("sigaction");
	buf_init(&d->line, GATHER_BYTES + 16384);
	buf_init(&d->tail, GATHER_BYTES + 16384);
	list_init(&d->sources);
	d->out_fd = -1;
	d->loop = ev_default_loop(0);
	d->master = chan_new(d->loop, CHILD_FD_MASTER, &master_def, d);
	log_set_sink(own_sink, d);
	(void)close(CHILD_FD_LOG);
	ev_prepare_init(&prepare, before_sleep);
	prepare.data = d;
	ev_prepare_start(d->loop, &prepare);
	ev_timer_init(&d->tail_timer, on_tail_time, TAIL_S, 0);
	ev_run(d->loop, 0);
	finish_at_end(d);
	child_settings_done(&d->settings);
	return 0;
}
