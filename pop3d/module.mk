$(eval $(call program,pop3d,pop3d,common/host common/store \
    common/store/maildir common/store/mbox common/index common/mime \
    common/net common/ipc common/text \
    common/os common/base,$$(MAIL_LIBS),$$(pkglibexecdir)))
