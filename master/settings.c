/* SPDX-License-Identifier: ISC */
/*
 * settings.c - the configuration as master uses it.
 *
 * Owns:    struct settings.
 * Runs in: master.
 * Trusts:  the owner of the configuration file.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/conf.h"
#include "ipc/child.h"
#include "os/sandbox.h"

static const char *const service_names[SERVICES] = {"imap", "pop3"};
static const enum schema_scope scopes[SERVICES] = {SCHEMA_IMAP, SCHEMA_POP3};

static const struct {
	const char *name;
	enum schema_reader reader;
	enum schema_scope scope;
} programs[PROGRAMS] = {
    [PROGRAM_LOGD] = {"logd", SCHEMA_LOGD, SCHEMA_GLOBAL},
    [PROGRAM_SPAWNER] = {"authd", SCHEMA_AUTHD, SCHEMA_GLOBAL},
    [PROGRAM_AUTHD] = {"authd", SCHEMA_AUTHD, SCHEMA_GLOBAL},
    [PROGRAM_KEYD] = {"keyd", SCHEMA_KEYD, SCHEMA_GLOBAL},
    [PROGRAM_LOGIN] = {"login", SCHEMA_LOGIN, SCHEMA_GLOBAL},
    [PROGRAM_SPOOLD] = {"spoold", SCHEMA_SPOOLD, SCHEMA_GLOBAL},
    [PROGRAM_IMAPD] = {"imapd", SCHEMA_IMAPD, SCHEMA_IMAP},
    [PROGRAM_POP3D] = {"pop3d", SCHEMA_POP3D, SCHEMA_POP3},
};

/* Where certificates are looked for when none is configured. */
static const struct {
	const char *cert, *key;
} usual_certs[] = {
    {SYSCONFDIR "/restante/tls/cert.pem", SYSCONFDIR "/restante/tls/key.pem"},
    {"/etc/ssl/certs/ssl-cert-snakeoil.pem",
	"/etc/ssl/private/ssl-cert-snakeoil.key"},
};

bool
service_find(struct str name, enum service *out)
{
	for (unsigned i = 0; i < SERVICES; i++)
		if (str_eq(name, str_of(service_names[i]))) {
			*out = (enum service)i;
			return true;
		}
	return false;
}

const char *
service_name(enum service s)
{
	return service_names[s];
}

/* What is being read, and where problems go. */
struct load {
	const struct conf *conf;
	struct settings *s;
	struct buf *problems;
	struct err *e;
	bool failed;
};

static void
add_line(struct load *l, const char *where, const char *kind,
    const char *setting, const char *text)
{
	buf_addf(l->problems, "%s%s%s%s: %s\n", where != NULL ? where : "",
	    where != NULL ? ": " : "", kind, setting, text);
}

static void problem(struct load *l, const char *setting, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void
problem(struct load *l, const char *setting, const char *fmt, ...)
{
	const struct schema_setting *s = schema_find(str_of(setting));
	const char *where = conf_where(l->conf, s, SCHEMA_GLOBAL);
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_line(l, where, "", setting, text);
	if (!l->failed)
		err_set(l->e, ERR_SYNTAX, "%s: %s", setting, text);
	l->failed = true;
}

/* ---- single values; the table has checked their form ---- */

static const char *
item(const struct load *l, const char *name, enum schema_scope scope, size_t i)
{
	const char *v = conf_item(l->conf, schema_find(str_of(name)), scope, i);

	return v == NULL ? "" : v;
}

static size_t
count(const struct load *l, const char *name)
{
	return conf_count(l->conf, schema_find(str_of(name)), SCHEMA_GLOBAL);
}

static const char *
text(const struct load *l, const char *name)
{
	return item(l, name, SCHEMA_GLOBAL, 0);
}

static uint32_t
number_in(const struct load *l, const char *name, enum schema_scope scope)
{
	uint32_t v = 0;

	(void)num_parse_u32(str_of(item(l, name, scope, 0)), 0, UINT32_MAX, &v);
	return v;
}

static uint32_t
number(const struct load *l, const char *name)
{
	return number_in(l, name, SCHEMA_GLOBAL);
}

static bool
list_has(const struct load *l, const char *name, const char *value)
{
	for (size_t i = 0; i < count(l, name); i++)
		if (strcmp(item(l, name, SCHEMA_GLOBAL, i), value) == 0)
			return true;
	return false;
}

/* ---- parts ---- */

static void
load_users(struct load *l)
{
	static const char *const names[SERVICE_USERS] = {"login_user",
	    "key_user", "auth_user", "pass_user", "spool_user", "log_user"};
	struct err e;

	for (size_t i = 0; i < SERVICE_USERS; i++) {
		struct priv_id *id = &l->s->users[i];

		if (priv_find_user(text(l, names[i]), id, &e) == -1) {
			problem(l, names[i], "%s", e.text);
			continue;
		}
		if (id->sysuid == 0)
			problem(l, names[i], "must not be root");
		for (size_t j = 0; j < i; j++)
			if (l->s->users[j].sysuid == id->sysuid)
				problem(l, names[i],
				    "has the same uid as %s; the six service "
				    "accounts must differ",
				    names[j]);
	}
}

static bool
is_address(const char *text)
{
	unsigned char room[16];

	return strcmp(text, "*") == 0 || inet_pton(AF_INET, text, room) == 1 ||
	    inet_pton(AF_INET6, text, room) == 1;
}

/* The address as bytes: one may be written in many ways. */
static int
address_bytes(const char *text, unsigned char room[16])
{
	if (inet_pton(
		AF_INET, strcmp(text, "*") == 0 ? "0.0.0.0" : text, room) == 1)
		return 4;
	return inet_pton(AF_INET6, text, room) == 1 ? 16 : 0;
}

static bool
is_same_place(
    const struct setting_listener *x, const struct setting_listener *y)
{
	unsigned char a[16], b[16];
	int n = address_bytes(x->address, a);

	return x->port == y->port && n != 0 &&
	    n == address_bytes(y->address, b) && memcmp(a, b, (size_t)n) == 0;
}

const struct setting_listener *
settings_clash(const struct settings *s, const struct setting_listener *x)
{
	VEC_EACH(&s->listeners, other)
		if (other->port == x->port && other < x &&
		    strcmp(other->name, x->name) != 0 &&
		    is_same_place(other, x))
			return other;
	return NULL;
}

static void
load_listeners(struct load *l)
{
	static const struct {
		const char *name, *port, *listen;
		enum service service;
		bool tls;
	} all[] = {
	    {"imap", "imap_port", "imap_listen", SERVICE_IMAP, false},
	    {"imaps", "imaps_port", "imaps_listen", SERVICE_IMAP, true},
	    {"pop3", "pop3_port", "pop3_listen", SERVICE_POP3, false},
	    {"pop3s", "pop3s_port", "pop3s_listen", SERVICE_POP3, true},
	};
	const char *bad = "";

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		uint32_t port = number(l, all[i].port);
		const char *addresses =
		    count(l, all[i].listen) > 0 ? all[i].listen : "listen";

		if (port == 0 || (all[i].tls && l->s->certs.n == 0))
			continue;
		for (size_t j = 0; j < count(l, addresses); j++) {
			const char *a = item(l, addresses, SCHEMA_GLOBAL, j);

			if (!is_address(a) && strcmp(a, bad) != 0)
				problem(
				    l, addresses, "%s is not an IP address", a);
			/* Said once of what four listeners share. */
			if (!is_address(a))
				bad = a;
			*VEC_ADD(&l->s->listeners) =
			    (struct setting_listener){.name = all[i].name,
				.service = all[i].service,
				.tls = all[i].tls,
				.address = mem_strdup(a),
				.port = (uint16_t)port};
		}
	}
}

static void
add_cert(
    struct settings *s, const char *cert, const char *key, const char *ocsp)
{
	*VEC_ADD(&s->certs) = (struct setting_cert){mem_strdup(cert),
	    mem_strdup(key), ocsp == NULL ? NULL : mem_strdup(ocsp)};
}

static void
find_usual_cert(struct settings *s)
{
	for (size_t i = 0; i < ARRAY_LEN(usual_certs); i++)
		if (access(usual_certs[i].cert, R_OK) == 0 &&
		    access(usual_certs[i].key, R_OK) == 0) {
			add_cert(
			    s, usual_certs[i].cert, usual_certs[i].key, NULL);
			return;
		}
}

static void
load_certs(struct load *l)
{
	size_t n = count(l, "tls_cert");
	const char *tls = text(l, "tls");

	if (strcmp(tls, "no") == 0)
		return;
	if (count(l, "tls_key") != n) {
		problem(l, "tls_key", "%zu keys for %zu certificates",
		    count(l, "tls_key"), n);
		return;
	}
	if (count(l, "tls_ocsp") > n)
		problem(l, "tls_ocsp", "more responses than certificates");
	for (size_t i = 0; i < n; i++)
		add_cert(l->s, item(l, "tls_cert", SCHEMA_GLOBAL, i),
		    item(l, "tls_key", SCHEMA_GLOBAL, i),
		    i < count(l, "tls_ocsp")
			? item(l, "tls_ocsp", SCHEMA_GLOBAL, i)
			: NULL);
	if (n == 0)
		find_usual_cert(l->s);
	if (l->s->certs.n == 0 && strcmp(tls, "required") == 0)
		problem(l, "tls", "is required, but there is no certificate");
}

static void
load_limits(struct load *l)
{
	struct settings *s = l->s;

	s->first_uid = number(l, "first_valid_uid");
	s->last_uid = number(l, "last_valid_uid");
	s->first_gid = number(l, "first_valid_gid");
	s->last_gid = number(l, "last_valid_gid");
	s->max_connections = number(l, "max_connections");
	s->key_processes = number(l, "key_processes");
	s->workers_max = number(l, "login_workers_max");
	s->workers_spare = number(l, "login_workers_spare");
	for (unsigned i = 0; i < SERVICES; i++) {
		s->max_per_user[i] =
		    number_in(l, "max_sessions_per_user", scopes[i]);
		s->max_per_address[i] =
		    number_in(l, "max_sessions_per_address", scopes[i]);
		s->mail_location[i] =
		    mem_strdup(item(l, "mail_location", scopes[i], 0));
	}
}

/*
 * The system call filter of mail processes, compiled here once. Without it
 * each compiles its own.
 */
static void
add_filter(bool is_imap, struct buf *plain)
{
	static struct buf texts[2];
	struct buf *text = &texts[is_imap];
	struct err e;

	if (text->n == 0) {
		buf_init(text, CONF_FILE_MAX_BYTES);
		if (sandbox_filter_text(is_imap ? SANDBOX_IMAP : SANDBOX_USER,
			text, &e) == -1) {
			log_warn("system call filter: %s", e.text);
			buf_done(text);
			return;
		}
	}
	(void)child_settings_add(plain, "sandbox_filter", buf_str(text));
}

static void
load_programs(struct load *l)
{
	struct settings *s = l->s;
	char path[4096];
	struct buf b;

	buf_init(&b, CONF_FILE_MAX_BYTES);
	for (size_t i = 0; i < PROGRAMS; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", s->libexec_dir,
		    programs[i].name);
		s->programs[i] = mem_strdup(path);
		/* Two may be one. */
		if (access(path, X_OK) == -1 &&
		    (i == 0 || strcmp(path, s->programs[i - 1]) != 0))
			problem(
			    l, "libexec_dir", "there is no program %s", path);
		buf_clear(&b);
		conf_write_plain(
		    l->conf, programs[i].reader, programs[i].scope, &b);
		if (i == PROGRAM_IMAPD || i == PROGRAM_POP3D)
			add_filter(i == PROGRAM_IMAPD, &b);
		s->plain[i] = str_to_heap(buf_str(&b));
	}
	buf_done(&b);
}

static void
load_all(struct load *l)
{
	struct settings *s = l->s;

	s->privileged = priv_is_root();
	s->run_dir = mem_strdup(text(l, "run_dir"));
	s->index_dir = mem_strdup(text(l, "index_dir"));
	s->state_dir = mem_strdup(text(l, "state_dir"));
	s->libexec_dir = mem_strdup(text(l, "libexec_dir"));
	s->log = mem_strdup(text(l, "log"));
	s->spool_dir = mem_strdup(text(l, "spool_dir"));
	s->uses_pam = list_has(l, "auth", "pam");
	s->uses_passwd_file = list_has(l, "auth", "passwd-file");
	s->pam_session =
	    s->privileged && strcmp(text(l, "pam_session"), "yes") == 0;
	s->proxy = count(l, "proxy_networks") > 0;
	if (s->privileged)
		load_users(l);
	load_certs(l);
	load_listeners(l);
	load_limits(l);
	load_programs(l);
}

/* ---- the files that it names ---- */

/* What the default names may come later: then there is just no such thing yet. */
static void
check_file(struct load *l, const char *setting, const char *path, bool needed)
{
	const char *where =
	    conf_where(l->conf, schema_find(str_of(setting)), SCHEMA_GLOBAL);
	char text[300];
	struct stat st;
	int sys = 0;

	if (stat(path, &st) == -1 || access(path, R_OK) == -1)
		sys = errno;
	else if (S_ISREG(st.st_mode))
		return;
	(void)snprintf(text, sizeof(text), "%s: %s", path,
	    sys == 0 ? "it is not a regular file" : strerror(sys));
	/* Others' keys are none of our business, and may be all right. */
	if (needed && where != NULL && (sys != EACCES || l->s->privileged))
		problem(l, setting, "%s", text);
	else
		add_line(l, where, "warning: ", setting, text);
}

/* Whoever gets his sockets from systemd does not hear of it at the start. */
static void
check_places(struct load *l)
{
	char setting[32];

	VEC_EACH(&l->s->listeners, x) {
		const struct setting_listener *y = settings_clash(l->s, x);

		(void)snprintf(setting, sizeof(setting), "%s_port", x->name);
		if (y != NULL)
			problem(l, setting, "%s has %s port %u already",
			    y->name, x->address, (unsigned)x->port);
	}
}

static void
check_files(struct load *l)
{
	if (strcmp(text(l, "tls"), "no") != 0) {
		for (size_t i = 0; i < count(l, "tls_cert"); i++)
			check_file(l, "tls_cert",
			    item(l, "tls_cert", SCHEMA_GLOBAL, i), true);
		for (size_t i = 0; i < count(l, "tls_key"); i++)
			check_file(l, "tls_key",
			    item(l, "tls_key", SCHEMA_GLOBAL, i), true);
		for (size_t i = 0; i < count(l, "tls_ocsp"); i++)
			check_file(l, "tls_ocsp",
			    item(l, "tls_ocsp", SCHEMA_GLOBAL, i), false);
	}
	if (l->s->uses_passwd_file)
		check_file(l, "passwd_file", text(l, "passwd_file"), true);
}

static int
load_or_check(const char *path, bool optional, bool files,
    struct settings **out, struct buf *problems, struct err *e)
{
	struct load l = {.problems = problems, .e = e};
	struct conf *conf;

	if (conf_load(path, optional, &conf, problems, e) == -1)
		return -1;
	l.conf = conf;
	l.s = mem_new(1, sizeof(*l.s));
	load_all(&l);
	if (files) {
		check_files(&l);
		check_places(&l);
	}
	conf_free(&conf);
	if (l.failed) {
		settings_free(&l.s);
		return -1;
	}
	*out = l.s;
	return 0;
}

int
settings_load(const char *path, bool optional, struct settings **out,
    struct buf *problems, struct err *e)
{
	return load_or_check(path, optional, false, out, problems, e);
}

int
settings_check(
    const char *path, bool optional, struct buf *problems, struct err *e)
{
	struct settings *s;
	int rc = load_or_check(path, optional, true, &s, problems, e);

	if (rc == 0)
		settings_free(&s);
	return rc;
}

void
settings_free(struct settings **sp)
{
	struct settings *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	free(s->run_dir);
	free(s->index_dir);
	free(s->state_dir);
	free(s->libexec_dir);
	free(s->log);
	free(s->spool_dir);
	for (size_t i = 0; i < PROGRAMS; i++) {
		free(s->programs[i]);
		free(s->plain[i]);
	}
	for (size_t i = 0; i < SERVICES; i++)
		free(s->mail_location[i]);
	VEC_EACH(&s->listeners, l)
		free(l->address);
	VEC_DONE(&s->listeners);
	VEC_EACH(&s->certs, c) {
		free(c->cert);
		free(c->key);
		free(c->ocsp);
	}
	VEC_DONE(&s->certs);
	free(s);
}

bool
settings_may_login(const struct settings *s, uint32_t sysuid, uint32_t sysgid)
{
	if (sysuid == 0 || sysgid == 0 || sysuid == UINT32_MAX ||
	    sysgid == UINT32_MAX)
		return false;
	return sysuid >= s->first_uid &&
	    (s->last_uid == 0 || sysuid <= s->last_uid) &&
	    sysgid >= s->first_gid &&
	    (s->last_gid == 0 || sysgid <= s->last_gid);
}
