# SPDX-License-Identifier: ISC
$(eval $(call library,common/store/mbox))
