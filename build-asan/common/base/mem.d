build-asan/common/base/mem.o: common/base/mem.c common/base/mem.h \
 common/base/base.h
common/base/mem.h:
common/base/base.h:
