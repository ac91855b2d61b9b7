$(eval $(call library,common/host))
