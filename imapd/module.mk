$(eval $(call program,imapd,imapd,common/host common/search common/store \
    common/store/maildir common/store/mbox common/index common/mime \
    common/imap common/net common/ipc \
    common/text common/os common/base,$$(MAIL_LIBS),$$(pkglibexecdir)))
