/* SPDX-License-Identifier: ISC */
/* maildir_test.h - a fresh Maildir for each unit test of this folder. */
#ifndef STORE_MAILDIR_TEST_H
#define STORE_MAILDIR_TEST_H

#include "store/maildir/maildir_impl.h"

#define BASE1 "1795300341.M945632P17847.mx1,S=127,W=134"
#define BASE2 "1795300341.M946189P17847.mx1,S=127,W=134"
#define BASE3 "1795300341.M952196P17847.mx1,S=127,W=134"
#define LONG70                                                                 \
	"12345678901234567890123456789012345678901234567890123456789012345678" \
	"90"
#define GUID "620a5138f51b026bb745000083ecc375"

static UNUSED void
write_m1(struct box *b)
{
	box_write(b, "dovecot-uidlist",
	    "3 V1795300341 N1 G" GUID "\n1 :" BASE1 "\n2 :" BASE2 "\n3 :" BASE3
	    "\n");
	box_write(b, "dovecot-keywords", "0 $Label1\n1 NonJunk\n2 Later\n");
	box_msg(b, "cur/" BASE1 ":2,S");
	box_msg(b, "cur/" BASE2 ":2,Fab");
	box_msg(b, "cur/" BASE3 ":2,Rc");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
