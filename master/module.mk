# SPDX-License-Identifier: ISC
$(eval $(call program,restanted,master,common/conf common/text common/ipc common/os common/base,$(CONFUSE_LIBS) $(EV_LIBS) $(SECCOMP_LIBS),$(sbindir)))
