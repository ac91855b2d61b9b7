/* SPDX-License-Identifier: ISC */
/*
 * schema_impl.h - the parts of the table of settings, a file for each theme.
 */
#ifndef CONF_SCHEMA_IMPL_H
#define CONF_SCHEMA_IMPL_H

#include "conf/schema.h"

#define MAIL_PROCESSES (SCHEMA_IMAPD | SCHEMA_POP3D)
#define PORT_MAX 65535
#define DAY_S (24 * 60 * 60)
#define KIB UINT64_C(1024)
#define GIB (KIB * KIB * KIB)

/* Settings in alphabetical order. */
struct schema_part {
	const struct schema_setting *settings;
	size_t n;
};

/* The themes, a file each. */
extern const struct schema_part schema_auth;
extern const struct schema_part schema_imap;
extern const struct schema_part schema_pop3;
extern const struct schema_part schema_server;
extern const struct schema_part schema_store;

#endif
