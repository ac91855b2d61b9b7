build-asan/common/net/deflate.o: common/net/deflate.c \
 common/base/assert.h common/base/base.h common/base/mem.h \
 common/net/deflate.h common/base/buf.h common/base/str.h \
 common/base/err.h
common/base/assert.h:
common/base/base.h:
common/base/mem.h:
common/net/deflate.h:
common/base/buf.h:
common/base/str.h:
common/base/err.h:
