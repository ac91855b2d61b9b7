build-asan/common/net/conn.o: common/net/conn.c common/base/assert.h \
 common/base/base.h common/base/buf.h common/base/str.h \
 common/base/list.h common/base/mem.h common/net/conn.h common/base/err.h \
 common/net/deflate.h common/net/outq.h common/net/tls_record.h
common/base/assert.h:
common/base/base.h:
common/base/buf.h:
common/base/str.h:
common/base/list.h:
common/base/mem.h:
common/net/conn.h:
common/base/err.h:
common/net/deflate.h:
common/net/outq.h:
common/net/tls_record.h:
