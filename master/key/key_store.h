/* SPDX-License-Identifier: ISC */
/* key_store.h - the private keys of keyd. */
#ifndef KEY_KEY_STORE_H
#define KEY_KEY_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "ipc/chan_key.h"

struct key_store;

/* Without keys. */
struct key_store *key_store_new(void);
/* Wipes. */
void key_store_free(struct key_store **s);
/*
 * Reads a PEM file that may hold certificates too. `number` is below
 * KEY_FILES_MAX and not yet taken. `path` is for messages.
 */
int key_store_add(struct key_store *s, uint32_t number, struct str path,
    struct str pem, struct err *e);
size_t key_store_count(const struct key_store *s);
/*
 * Signs a request whose input is a handshake. Fails with ERR_VIOLATION when it
 * is not, ERR_NOT_FOUND or ERR_UNSUPPORTED when no such key is there or it
 * can not sign that way.
 */
int key_store_sign(struct key_store *s, const struct key_sign *request,
    struct buf *signature, struct err *e);

#endif
