# SPDX-License-Identifier: ISC
# The only make process. Each folder's module.mk adds its library, program or
# pages; everything is built below $(B). `make` on a fresh clone configures
# by itself. Variables for the command line:
#   B=folder        where to build (default: build)
#   SANITIZE=list   e.g. address,undefined (use a B of its own)
#   WERROR=1        warnings are errors
#   CONFIGURE_ARGS  handed to configure when it is first run
B ?= build
SANITIZE ?=
WERROR ?=
CONFIGURE_ARGS ?=

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

NO_CONFIG_GOALS := clean distclean
ifeq ($(filter $(NO_CONFIG_GOALS),$(MAKECMDGOALS)),)
include $(B)/config.mk
endif

configure: configure.ac
	autoconf -o $@ $<
	rm -rf autom4te.cache

$(B)/config.mk: configure common/config.mk.in common/config.h.in
	mkdir -p $(B)
	top=$$PWD && cd $(B) && $$top/configure --srcdir=$$top --quiet $(CONFIGURE_ARGS)
	touch $@

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wvla -Wwrite-strings -Wformat=2
ifneq ($(WERROR),)
WARNINGS += -Werror
endif
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection \
    -ftrivial-auto-var-init=zero
LINK_HARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
ifeq ($(SANITIZE),)
HARDEN += -D_FORTIFY_SOURCE=2
else
HARDEN := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
    -fno-omit-frame-pointer -DRESTANTE_SANITIZE=1
LINK_HARDEN := -pie -fsanitize=$(SANITIZE)
endif

ALL_CPPFLAGS = -Icommon -Imaster -I. -I$(B) -D_GNU_SOURCE \
    -DPKGLIBEXECDIR='"$(pkglibexecdir)"' -DSYSCONFDIR='"$(sysconfdir)"' \
    -DLOCALSTATEDIR='"$(localstatedir)"' $(GNUTLS_CFLAGS) $(NETTLE_CFLAGS) \
    $(GSASL_CFLAGS) $(SECCOMP_CFLAGS) $(CONFUSE_CFLAGS) $(ZLIB_CFLAGS) \
    $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 -fPIE $(WARNINGS) $(HARDEN) $(CFLAGS)

# ---- what module.mk files call -------------------------------------------

LIB_DIRS :=
PROGRAMS :=
TEST_PROGRAMS :=
MAN_PAGES :=
LIBRARIES :=
OBJECTS :=

# sources(dir): every .c of a folder but main.c and the unit tests
sources = $(filter-out $(1)/main.c %_test.c,$(sort $(wildcard $(1)/*.c)))

# library(dir): $(B)/dir/lib.a and the folder's unit tests
define library
LIB_DIRS += $(1)
LIBRARIES += $(B)/$(1)/lib.a
$(B)/$(1)/lib.a: $(patsubst %.c,$(B)/%.o,$(call sources,$(1)))
OBJECTS += $(patsubst %.c,$(B)/%.o,$(call sources,$(1)))
TEST_PROGRAMS += $(patsubst %.c,$(B)/%,$(wildcard $(1)/*_test.c))
OBJECTS += $(patsubst %.c,$(B)/%.o,$(wildcard $(1)/*_test.c))
$(foreach t,$(wildcard $(1)/*_test.c),
$(patsubst %.c,$(B)/%,$(t)): OWN_LIB := $(B)/$(1)/lib.a
$(patsubst %.c,$(B)/%,$(t)): $(B)/$(1)/lib.a)
endef

# program(name,dir,library folders in link order,system libraries,install dir)
# The program's own folder is a library too, so that its parts can be tested.
define program
$(call library,$(2))
PROGRAMS += $(B)/$(2)/$(1)
OBJECTS += $(B)/$(2)/main.o
$(1)_INSTALL := $(5)
PROGRAM_LIST += $(1):$(2)
$(B)/$(2)/$(1): $(B)/$(2)/main.o $(B)/$(2)/lib.a $(patsubst %,$(B)/%/lib.a,$(3))
	@echo "  LINK    $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(LINK_HARDEN) $$(LDFLAGS) -o $$@ $(B)/$(2)/main.o \
	    -Wl,--start-group $(B)/$(2)/lib.a $(patsubst %,$(B)/%/lib.a,$(3)) \
	    -Wl,--end-group $(4)
endef

PROGRAM_LIST :=
# Folders that the programs need come first, programs last.
include $(sort $(wildcard common/*/module.mk common/*/*/module.mk))
include $(sort $(wildcard master/module.mk master/*/module.mk))
include $(sort $(wildcard imapd/module.mk pop3d/module.mk))
include $(sort $(wildcard man/module.mk tests/module.mk tests/*/module.mk))

# A program may live in a folder whose library is also a list entry.
COMMON_LIBS := $(filter $(B)/common/%,$(LIBRARIES))
ALL_SYS_LIBS = $(GNUTLS_LIBS) $(NETTLE_LIBS) -lhogweed $(GSASL_LIBS) \
    $(SECCOMP_LIBS) $(CONFUSE_LIBS) $(ZLIB_LIBS) $(EV_LIBS) $(PAM_LIBS) \
    $(CRYPT_LIBS) $(UNISTRING_LIBS)

all: $(PROGRAMS)

$(LIBRARIES):
	@echo "  AR      $@"
	@rm -f $@
	@$(AR) rcs $@ $(filter %.o,$^)

$(B)/%.o: %.c $(B)/config.mk
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(CMOCKA_CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

# ---- tests ----------------------------------------------------------------

$(TEST_PROGRAMS): %: %.o $(COMMON_LIBS)
	@echo "  LINK    $@"
	@$(CC) $(ALL_CFLAGS) $(LINK_HARDEN) $(LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(OWN_LIB) $(COMMON_LIBS) -Wl,--end-group \
	    $(ALL_SYS_LIBS) $(CMOCKA_LIBS)

.PHONY: all check check-unit install dist fuzz bench lint clean distclean
check-unit: $(TEST_PROGRAMS)
	@set -e; for t in $(TEST_PROGRAMS); do \
	    log=$$t.log; \
	    if $$t >$$log 2>&1; then echo "  ok      $$t"; \
	    else echo "  FAILED  $$t"; cat $$log; exit 1; fi; done

check: all check-unit

clean distclean:
	rm -rf $(B)
