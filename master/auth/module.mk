# SPDX-License-Identifier: ISC
$(eval $(call program,authd,master/auth,common/ipc common/text common/os common/base,$(EV_LIBS) $(GSASL_LIBS) $(PAM_LIBS) $(CRYPT_LIBS) $(SECCOMP_LIBS),$(pkglibexecdir)))
