/* SPDX-License-Identifier: ISC */
/* key_input.h - is this what a TLS server signs in a handshake? */
#ifndef KEY_KEY_INPUT_H
#define KEY_KEY_INPUT_H

#include "base/str.h"

enum key_input {
	KEY_INPUT_NONE, /* anything else: not to be signed */
	KEY_INPUT_TLS13, /* CertificateVerify of a server */
	KEY_INPUT_TLS12, /* ServerKeyExchange with ephemeral ECDH */
};

/*
 * Which of the two the bytes are, exactly. No bytes are both, and neither can
 * be a certificate, a request for one, a mail or another protocol's message
 * that the key's owner might be held to.
 */
enum key_input key_input_kind(struct str input);

#endif
