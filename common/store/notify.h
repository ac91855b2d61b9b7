/* SPDX-License-Identifier: ISC */
/* notify.h - calls the listeners of views from the loop, polls for them. */
#ifndef STORE_NOTIFY_H
#define STORE_NOTIFY_H

#include "store/mailbox_impl.h"

/* store->notify, and its end with the store. */
void notify_new(struct store *s);
void notify_free(struct store *s);
/* Listeners that are due are called when the loop comes round. */
void notify_soon(struct store *s);
/* A listener has come or gone, or watching has failed: poll if need be. */
void notify_update(struct store *s);
/* The next poll comes after `ms` at the latest. */
void notify_within(struct store *s, uint32_t ms);
/* ops->work of the mailboxes is called after `ms`. */
void notify_work(struct store *s, uint32_t ms);
/* Mailboxes that nobody uses are closed after `ms`. */
void notify_idle(struct store *s, uint32_t ms);

#endif
