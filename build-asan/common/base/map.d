build-asan/common/base/map.o: common/base/map.c common/base/assert.h \
 common/base/base.h common/base/map.h common/base/str.h common/base/mem.h
common/base/assert.h:
common/base/base.h:
common/base/map.h:
common/base/str.h:
common/base/mem.h:
