$(eval $(call library,master/auth))
