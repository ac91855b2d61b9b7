# SPDX-License-Identifier: ISC
$(eval $(call program,login,master/login,common/net common/ipc common/text common/os common/base,$(EV_LIBS) $(GNUTLS_LIBS) $(NETTLE_LIBS) $(ZLIB_LIBS) $(SECCOMP_LIBS),$(pkglibexecdir)))
