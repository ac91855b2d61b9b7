build-asan/common/base/err.o: common/base/err.c common/base/err.h \
 common/base/base.h
common/base/err.h:
common/base/base.h:
