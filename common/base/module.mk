$(eval $(call library,common/base))
