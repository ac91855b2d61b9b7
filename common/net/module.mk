$(eval $(call library,common/net))
