/* config.h.  Generated from config.h.in by configure.  */
/* SPDX-License-Identifier: ISC */
/* What configure found out about this system. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#define PACKAGE_NAME "restante"
#define PACKAGE_TARNAME "restante"
#define PACKAGE_VERSION "0.1.0"
#define PACKAGE_STRING "restante 0.1.0"
#define PACKAGE_BUGREPORT ""
#define PACKAGE_URL ""

#define HAVE_LINUX_LANDLOCK_H 1
#define HAVE_LINUX_OPENAT2_H 1

#endif
