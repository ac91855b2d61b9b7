build-asan/common/net/outq.o: common/net/outq.c common/base/assert.h \
 common/base/base.h common/base/mem.h common/net/outq.h common/base/str.h
common/base/assert.h:
common/base/base.h:
common/base/mem.h:
common/net/outq.h:
common/base/str.h:
