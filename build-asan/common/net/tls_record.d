build-asan/common/net/tls_record.o: common/net/tls_record.c \
 common/net/tls_record.h common/base/buf.h common/base/str.h \
 common/base/base.h common/base/err.h
common/net/tls_record.h:
common/base/buf.h:
common/base/str.h:
common/base/base.h:
common/base/err.h:
