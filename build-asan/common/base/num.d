build-asan/common/base/num.o: common/base/num.c common/base/num.h \
 common/base/str.h common/base/base.h
common/base/num.h:
common/base/str.h:
common/base/base.h:
