$(eval $(call library,common/text))
