$(eval $(call library,imapd))
