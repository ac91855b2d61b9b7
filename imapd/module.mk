$(eval $(call program,imapd,imapd,common/host common/search common/store \
    common/store/maildir common/mime common/imap common/net common/ipc \
    common/text common/os common/base,$$(EV_LIBS) $$(NETTLE_LIBS) \
    $$(ZLIB_LIBS) $$(SECCOMP_LIBS) $$(UNISTRING_LIBS) $$(GNUTLS_LIBS),$$(pkglibexecdir)))
