# SPDX-License-Identifier: ISC
$(eval $(call program,logd,master/log,common/ipc common/os common/base,$(EV_LIBS) $(SECCOMP_LIBS),$(pkglibexecdir)))
