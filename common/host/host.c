/* SPDX-License-Identifier: ISC */
/*
 * host.c - the main function of imapd and pop3d.
 *
 * Owns:    struct host: the loop, the store, the settings.
 * Runs in: imapd and pop3d, as the mail user.
 * Trusts:  its command line, and master.
 *
 * STARTING --first connection, or shell--> SERVING --last one gone--> LINGERING
 * LINGERING --connection--> SERVING        LINGERING --a minute--> gone
 * any --signal, shutdown--> ENDING --last one gone, or grace over--> gone
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "host/host_impl.h"
#include "os/proc.h"
#include "text/unit.h"

#define LEAVE_GRACE_S 5.
/* In milliseconds that is a number of 32 bits still. */
#define SECONDS_MAX (30 * 24 * 60 * 60)
#define STACK_KEEP_BYTES 1024
#define STACK_TRIM_BYTES ((size_t)256 * 1024)
/* A new process needs 400 KiB of addresses until it has answered a login. */
#define HEAP_STEP_BYTES (512 * 1024)

static const char *const defaults[][2] = {
    {"mail_location", "auto"},
    {"folder_names", "auto"},
    {"courier_compat", "auto"},
    {"log_level", "info"},
};

/* ---- the end ------------------------------------------------------------- */

static void
on_leave(struct ev_loop *loop, UNUSED ev_timer *w, UNUSED int revents)
{
	ev_break(loop, EVBREAK_ALL);
}

void
host_leave(struct host *h, const char *why)
{
	if (h->ending)
		return;
	h->ending = true;
	ev_timer_set(&h->leave, h->n_sessions == 0 ? 0. : LEAVE_GRACE_S, 0.);
	ev_timer_start(h->loop, &h->leave);
	turns_end(h, 0, why);
}

static void
on_signal(UNUSED struct ev_loop *loop, ev_signal *w, UNUSED int revents)
{
	host_leave(w->data, "Server is shutting down");
}

void
host_session_count_changed(struct host *h, struct host_session *hs)
{
	if (hs != NULL && !h->from_shell)
		log_info("session ended user=<%s> session=%llu rip=%s "
			 "in=%llu out=%llu secs=%lld%s%s",
		    h->user, (unsigned long long)hs->session_id, hs->remote_ip,
		    (unsigned long long)hs->stats.in,
		    (unsigned long long)hs->stats.out,
		    (long long)(clock_mono_ms() - hs->begun_ms) / 1000,
		    hs->note[0] == '\0' ? "" : " ", hs->note);
	if (hs != NULL)
		intake_tell_end(h, hs);
	if (h->n_sessions > 0)
		return;
	if (!h->from_shell)
		intake_idle(h);
	if (h->from_shell || h->ending) {
		ev_timer_stop(h->loop, &h->leave);
		ev_timer_set(&h->leave, 0., 0.);
		ev_timer_start(h->loop, &h->leave);
	}
}

/* Pages below the stack pointer, from deeper calls than the present one. */
static void
trim_stack(void)
{
#ifndef RESTANTE_SANITIZE
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t end = (here - STACK_KEEP_BYTES) & ~(uintptr_t)4095;

	/* What is not mapped there is no harm. */
	(void)madvise(
	    (void *)(end - STACK_TRIM_BYTES), STACK_TRIM_BYTES, MADV_DONTNEED);
#endif
}

void
host_trim(struct host *h)
{
	LIST_EACH(&h->sessions, l) {
		struct host_session *hs = LIST_OF(l, struct host_session, all);

		if (h->ops->session_rest != NULL)
			h->ops->session_rest(hs->session);
	}
	if (h->store != NULL)
		store_rest(h->store);
	conn_trim();
	(void)malloc_trim(0);
	trim_stack();
}

/* ---- the beginning ------------------------------------------------------- */

NORETURN static void
usage(const struct host_ops *ops)
{
	fprintf(stderr,
	    "usage: %sd [-c file] [-o name=value]... [mail-location]\n"
	    "Serves one %s session on standard input and output as yourself.\n",
	    ops->service, ops->service);
	exit(64);
}

static void
set_log_level(const char *name)
{
	int level;

	for (level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_FATAL; level++) {
		if (strcmp(name, log_level_name((enum log_level)level)) == 0)
			log_set_level((enum log_level)level);
	}
}

static void
forget_places(struct host *h)
{
	settings_put(&h->settings, STR("index_dir"), STR(""));
	settings_put(&h->settings, STR("state_dir"), STR(""));
}

static void
read_options(struct host *h, int argc, char **argv)
{
	VEC(const char *) lines = {0};
	const char *conf_file = NULL;
	struct err e;
	int c;

	while ((c = getopt(argc, argv, "c:o:")) != -1) {
		if (c == 'c')
			conf_file = optarg;
		else if (c == 'o')
			*VEC_ADD(&lines) = optarg;
		else
			usage(h->ops);
	}
	if (argc - optind > 1)
		usage(h->ops);
	/* The command line goes before the file. */
	shell_settings(h, conf_file);
	/* Other mail than the server's for us: not its index of ours. */
	if (argc - optind == 1)
		forget_places(h);
	VEC_EACH(&lines, line)
		if (str_starts(str_of(*line), STR("mail_location")))
			forget_places(h);
	VEC_EACH(&lines, line)
		if (settings_put_line(&h->settings, str_of(*line), &e) == -1)
			log_fatal("option -o: %s", e.text);
	VEC_DONE(&lines);
	if (argc - optind == 1)
		settings_put(
		    &h->settings, STR("mail_location"), str_of(argv[optind]));
}

/* Who the caller of a shell's imapd is. */
static void
find_caller(struct host *h)
{
	const char *home = getenv("HOME"),
		   *user = settings_get(&h->settings, "user");
	const struct passwd *pw = NULL;

	if (home == NULL || home[0] != '/')
		home = settings_get(&h->settings, "home");
	if (home == NULL || home[0] != '/' || user == NULL)
		pw = getpwuid(getuid());
	if (home == NULL || home[0] != '/')
		home = pw == NULL ? "/" : pw->pw_dir;
	if (user == NULL)
		user = pw == NULL ? "unknown" : pw->pw_name;
	h->home = mem_strdup(home);
	h->user = mem_strdup(user);
}

static void
start_signal(struct host *h, ev_signal *w, int signo)
{
	ev_signal_init(w, on_signal, signo);
	w->data = h;
	ev_signal_start(h->loop, w);
	ev_unref(h->loop);
}

/*
 * The mail place is made if it is missing, then the process is confined to
 * that, then the store opens it.
 */
static int
open_mail(struct host *h, struct err *e)
{
	const struct store_settings set = {
	    .user = h->user,
	    .home = h->home,
	    .mail_location = host_setting(h, "mail_location"),
	    .state_dir = host_setting(h, "state_dir"),
	    .folder_names = host_setting(h, "folder_names"),
	    .courier_compat = host_setting(h, "courier_compat"),
	    .mbox_read_locks = host_setting(h, "mbox_read_locks"),
	    .mbox_write_locks = host_setting(h, "mbox_write_locks"),
	    .mbox_lock_timeout_s =
		host_setting_seconds(h, "mbox_lock_timeout", 0),
	    .mbox_dotlock_stale_s =
		host_setting_seconds(h, "mbox_dotlock_change_timeout", 0),
	    .maildir_quota = host_setting(h, "maildir_quota"),
	    .mailboxes_max = host_setting_number(h, "max_mailboxes", 0),
	    .namespace_prefix = host_setting(h, "namespace_prefix"),
	    .inbox_alias = host_setting(h, "inbox_alias"),
	    .public_location = host_setting(h, "public_location"),
	    .others_location = host_setting(h, "other_users_location"),
	    .shares = host_setting(h, "shares"),
	    .poll_only = host_setting_bool(h, "poll_only", false),
	    .poll_ms = host_setting_seconds(h, "poll_interval", 5) * 1000,
	    .index_dir = host_setting(h, "index_dir"),
	};

	bool brought = h->filter != NULL;

	if (confine_enter(h, &set, e) == -1)
		return err_in(e, "can not enter the sandbox");
	/* Building the filter here took 350 KiB for a moment. Back with them,
	 * before what is to stay comes to lie in their midst. */
	if (!brought)
		(void)malloc_trim(0);
	if (store_open(&set, h->loop, &h->store, e) == -1)
		return err_in(e, "can not open the mail of %s", h->user);
	store_on_share(h->store, intake_tell_share, h);
	return 0;
}

/*
 * Freed memory goes back when we are idle, not after each reply; and it is asked
 * for rarely: what is not touched costs nothing.
 */
static void
set_up_memory(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
	(void)mallopt(M_TOP_PAD, HEAP_STEP_BYTES);
}

static void
set_up(struct host *h)
{
	size_t i;

	(void)sigaction(
	    SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	/* A file that may not be larger (ulimit -f) is like a full disk. */
	(void)sigaction(
	    SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	settings_init(&h->settings);
	for (i = 0; i < ARRAY_LEN(defaults); i++)
		settings_put(&h->settings, str_of(defaults[i][0]),
		    str_of(defaults[i][1]));
	/* Not the default one: that waits for children, which we may not. */
	h->loop = ev_loop_new(EVFLAG_NOENV);
	if (h->loop == NULL)
		log_fatal("no event loop: %s", strerror(errno));
	ev_timer_init(&h->leave, on_leave, LEAVE_GRACE_S, 0.);
	turns_init(h);
	start_signal(h, &h->on_term, SIGTERM);
	start_signal(h, &h->on_int, SIGINT);
	start_signal(h, &h->on_hup, SIGHUP);
}

static void
start(struct host *h, int argc, char **argv)
{
	struct err e;

	if (!intake_start(h)) {
		h->from_shell = true;
		read_options(h, argc, argv);
		find_caller(h);
		shell_index_dir(h);
		if (shell_prepare(h, &e) == -1)
			log_fatal("%s", e.text);
	}
	set_log_level(host_setting(h, "log_level"));
	spool_init(h);
	proc_title("%sd: %s", h->ops->service, h->user);
	if (open_mail(h, &e) == -1) {
		if (h->from_shell)
			log_fatal("%s", e.text);
		log_error("%s", e.text);
		h->broken = mem_strdup(e.text);
	}
	if (!h->from_shell)
		intake_open(h);
	else
		shell_start(h);
}

int
host_main(int argc, char **argv, const struct host_ops *ops)
{
	struct host *h;

	set_up_memory();
	h = mem_new(1, sizeof(*h));
	h->ops = ops;
	log_set_process(ops->service);
	proc_title_init(argc, argv);
	set_up(h);
	start(h, argc, argv);
	ev_run(h->loop, 0);
	intake_close(h);
	turns_done(h);
	store_close(&h->store);
	spool_done(h);
	settings_done(&h->settings);
	free(h->broken);
	free(h->mail_place);
	free(h->user);
	free(h->home);
	free(h);
	return 0;
}

/* ---- for services -------------------------------------------------------- */

struct ev_loop *
host_loop(struct host *h)
{
	return h->loop;
}

struct store *
host_store(struct host *h)
{
	return h->store;
}

const char *
host_user(struct host *h)
{
	return h->user;
}

const char *
host_mail_place(struct host *h)
{
	return h->mail_place;
}

const char *
host_setting(struct host *h, const char *name)
{
	return settings_get(&h->settings, name);
}

/* Plain and in range from master and from a file; from -o it may be anything. */
static uint64_t
setting_number(struct host *h, const char *name, enum unit_kind kind,
    uint64_t max, uint64_t otherwise)
{
	const char *value = host_setting(h, name);
	uint64_t n;
	struct err e;

	if (value == NULL || *value == '\0')
		return otherwise;
	if (unit_parse(str_of(value), kind, max, &n, &e) == 0)
		return n;
	log_warn("setting %s=%s: %s", name, value, e.text);
	return otherwise;
}

uint32_t
host_setting_number(struct host *h, const char *name, uint32_t otherwise)
{
	return (uint32_t)setting_number(
	    h, name, UNIT_NONE, UINT32_MAX, otherwise);
}

uint32_t
host_setting_seconds(struct host *h, const char *name, uint32_t otherwise)
{
	return (uint32_t)setting_number(
	    h, name, UNIT_SECONDS, SECONDS_MAX, otherwise);
}

uint64_t
host_setting_bytes(struct host *h, const char *name, uint64_t otherwise)
{
	return setting_number(h, name, UNIT_BYTES, INT64_MAX, otherwise);
}

bool
host_setting_bool(struct host *h, const char *name, bool otherwise)
{
	struct str s = str_of(host_setting(h, name));

	if (str_eq_nocase(s, STR("yes")) || str_eq_nocase(s, STR("true")) ||
	    str_eq_nocase(s, STR("on")) || str_eq(s, STR("1")))
		return true;
	if (str_eq_nocase(s, STR("no")) || str_eq_nocase(s, STR("false")) ||
	    str_eq_nocase(s, STR("off")) || str_eq(s, STR("0")))
		return false;
	return otherwise;
}
