build-asan/common/base/log.o: common/base/log.c common/base/log.h \
 common/base/base.h
common/base/log.h:
common/base/base.h:
