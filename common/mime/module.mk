$(eval $(call library,common/mime))
