build-asan/common/base/set32.o: common/base/set32.c common/base/mem.h \
 common/base/base.h common/base/set32.h
common/base/mem.h:
common/base/base.h:
common/base/set32.h:
