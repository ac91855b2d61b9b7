build-asan/common/base/secret.o: common/base/secret.c common/base/mem.h \
 common/base/base.h common/base/secret.h common/base/str.h
common/base/mem.h:
common/base/base.h:
common/base/secret.h:
common/base/str.h:
