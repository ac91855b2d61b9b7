# SPDX-License-Identifier: ISC
$(eval $(call program,spoold,master/spool,common/ipc common/os common/base,$(EV_LIBS) $(SECCOMP_LIBS),$(pkglibexecdir)))
