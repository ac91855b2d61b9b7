build-asan/common/base/arena.o: common/base/arena.c common/base/arena.h \
 common/base/str.h common/base/base.h common/base/assert.h \
 common/base/mem.h
common/base/arena.h:
common/base/str.h:
common/base/base.h:
common/base/assert.h:
common/base/mem.h:
