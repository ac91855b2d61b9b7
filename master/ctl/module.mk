$(eval $(call program,restantectl,master/ctl,common/conf common/ipc common/os common/text common/base,$(CONFUSE_LIBS) $(EV_LIBS),$(bindir)))
