/* SPDX-License-Identifier: ISC */
/*
 * conv.h - one conversation with one client, from AUTH_START to the answer.
 *
 *	conv_start --> SASL <--MORE--> WAITING (for the client)
 *	SASL --> DELAYED (penalty) --> QUEUED --> TRYING (a child judges)
 *	TRYING --> next source: TRYING; SCRAM: back to SASL
 *	TRYING --> LOOKING_UP (ids of the system account)
 *	all --> granted: GRANT to master, OK
 *	    --> HOLDING (until the moment when failures leave) --> FAIL
 */
#ifndef AUTH_CONV_H
#define AUTH_CONV_H

#include "auth/broker.h"

/* Begins; the worker's channel is in state BROKER_JUDGING from here on. */
void conv_start(struct broker_worker *w, const struct chan_auth_start *start);
/* The client's answer to a challenge. */
void conv_more(struct conv *c, struct str data);
/* The client or its worker has lost interest; FAIL follows all the same. */
void conv_cancel(struct conv *c);
/* The worker has gone; what is being judged still counts. */
void conv_worker_gone(struct conv *c);
/* Starts as many queued attempts as there is room for. */
void conv_pump(struct broker *b);

#endif
