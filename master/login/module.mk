# SPDX-License-Identifier: ISC
$(eval $(call library,master/login))
