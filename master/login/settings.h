/* SPDX-License-Identifier: ISC */
/* settings.h - what login is told by its settings file. */
#ifndef LOGIN_SETTINGS_H
#define LOGIN_SETTINGS_H

#include "ipc/child.h"
#include "login/pre.h"
#include "net/addr.h"

#define LOGIN_PROXIES_MAX 64
#define LOGIN_GREETING_MAX 200
#define LOGIN_MASK_MAX 1000

struct login_settings {
	struct pre_settings pre[LOGIN_POP3 + 1]; /* by enum login_service */
	char greeting[LOGIN_POP3 + 1][LOGIN_GREETING_MAX];
	char mask[LOGIN_MASK_MAX];
	struct addr_prefix proxies[LOGIN_PROXIES_MAX];
	size_t n_proxies;
	uint32_t workers_max, workers_spare, reuse;
	uint32_t ticket_life_s;
	int64_t time_ms; /* from accept to login */
	bool tls, only_tls13;
};

/* What is missing has its default. ERR_SYNTAX, ERR_LIMIT: of proxy_networks. */
int login_settings_read(
    const struct child_settings *c, struct login_settings *out, struct err *e);

#endif
