build-asan/common/base/str.o: common/base/str.c common/base/mem.h \
 common/base/base.h common/base/str.h
common/base/mem.h:
common/base/base.h:
common/base/str.h:
