build-asan/common/net/conn_test.o: common/net/conn_test.c \
 common/base/buf.h common/base/str.h common/base/base.h common/base/mem.h \
 common/net/conn.h common/base/err.h common/net/deflate.h
common/base/buf.h:
common/base/str.h:
common/base/base.h:
common/base/mem.h:
common/net/conn.h:
common/base/err.h:
common/net/deflate.h:
