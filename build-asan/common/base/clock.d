build-asan/common/base/clock.o: common/base/clock.c common/base/clock.h \
 common/base/base.h
common/base/clock.h:
common/base/base.h:
