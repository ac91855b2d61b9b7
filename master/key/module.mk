# SPDX-License-Identifier: ISC
$(eval $(call program,keyd,master/key,common/ipc common/os common/base,$(EV_LIBS) $(GNUTLS_LIBS) $(SECCOMP_LIBS),$(pkglibexecdir)))
