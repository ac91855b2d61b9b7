$(eval $(call library,common/imap))
