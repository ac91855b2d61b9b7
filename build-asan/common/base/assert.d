build-asan/common/base/assert.o: common/base/assert.c \
 common/base/assert.h common/base/base.h
common/base/assert.h:
common/base/base.h:
