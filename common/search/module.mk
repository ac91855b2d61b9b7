$(eval $(call library,common/search))
