/* SPDX-License-Identifier: ISC */
/*
 * settings.h - the configuration as master uses it: checked, accounts looked
 * up, certificates found; and the plain lines for each program.
 */
#ifndef MASTER_SETTINGS_H
#define MASTER_SETTINGS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"
#include "os/priv.h"

/* Whose uid each of our own processes has. */
enum service_user {
	USER_LOGIN,
	USER_KEY,
	USER_AUTH,
	USER_PASS,
	USER_SPOOL,
	USER_LOG,
};
#define SERVICE_USERS 6

enum program {
	PROGRAM_LOGD,
	PROGRAM_SPAWNER, /* the authd binary, as root */
	PROGRAM_AUTHD,
	PROGRAM_KEYD,
	PROGRAM_LOGIN,
	PROGRAM_SPOOLD,
	PROGRAM_IMAPD,
	PROGRAM_POP3D,
};
#define PROGRAMS 8

/* The two protocols as indices; enum login_service counts from 1. */
enum service {
	SERVICE_IMAP,
	SERVICE_POP3,
};
#define SERVICES 2

struct setting_listener {
	const char *name; /* "imaps" */
	enum service service;
	bool tls;
	char *address; /* "*", "::", or an address in text */
	uint16_t port;
};

struct setting_cert {
	char *cert, *key, *ocsp; /* ocsp may be NULL */
};

struct settings {
	bool privileged;
	struct priv_id users[SERVICE_USERS];
	char *run_dir, *index_dir, *state_dir, *log, *libexec_dir;
	char *spool_dir; /* empty: no spoold */
	char *programs[PROGRAMS]; /* paths */
	char *plain[PROGRAMS]; /* settings lines of each program */
	VEC(struct setting_listener) listeners;
	VEC(struct setting_cert) certs;
	bool uses_pam, uses_passwd_file, pam_session;
	bool proxy;
	uint32_t first_uid, last_uid, first_gid, last_gid; /* last 0: any */
	uint32_t max_connections;
	uint32_t max_per_user[SERVICES], max_per_address[SERVICES];
	uint32_t key_processes, workers_max, workers_spare;
	char *mail_location[SERVICES];
};

/*
 * Reads the file. `optional`: it need not be there. When something is wrong: -1,
 * one line for each problem in `problems`, the first one in `e`.
 */
int settings_load(const char *path, bool optional, struct settings **out,
    struct buf *problems, struct err *e);
/*
 * The same for somebody who asks whether all is in place: the files that are
 * named are looked at as well, and with 0 too there may be warnings in `problems`.
 */
int settings_check(
    const char *path, bool optional, struct buf *problems, struct err *e);
void settings_free(struct settings **s);
/* The one before `x`, of another service, that has its address and port; NULL. */
const struct setting_listener *settings_clash(
    const struct settings *s, const struct setting_listener *x);

/* "imap" and "pop3"; false for another name. */
bool service_find(struct str name, enum service *out);
const char *service_name(enum service s);
/* True when the uid and gid are within the configured ranges, and not 0. */
bool settings_may_login(
    const struct settings *s, uint32_t sysuid, uint32_t sysgid);

#endif
