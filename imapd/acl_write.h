/* SPDX-License-Identifier: ISC */
/* acl_write.h - the MYRIGHTS response, for MYRIGHTS and LIST (RFC 8440). */
#ifndef IMAPD_ACL_WRITE_H
#define IMAPD_ACL_WRITE_H

#include "imapd/session.h"

/* `rights`: enum acl_right. */
void acl_write_my_rights(struct session *s, struct str name, unsigned rights);

#endif
