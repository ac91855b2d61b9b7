$(eval $(call library,common/conf))
