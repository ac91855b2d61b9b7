build-asan/common/base/buf.o: common/base/buf.c common/base/assert.h \
 common/base/base.h common/base/buf.h common/base/str.h common/base/mem.h
common/base/assert.h:
common/base/base.h:
common/base/buf.h:
common/base/str.h:
common/base/mem.h:
