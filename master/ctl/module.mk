$(eval $(call program,restantectl,master/ctl,common/conf common/store \
    common/store/maildir common/store/mbox common/index common/mime \
    common/ipc common/text common/os common/base,$$(CONFUSE_LIBS) $$(MAIL_LIBS),$$(bindir)))
