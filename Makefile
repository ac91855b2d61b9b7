# SPDX-License-Identifier: ISC
# The only make process. Each folder's module.mk adds its library, program or
# pages; everything is built below $(B). `make` on a fresh clone configures
# by itself. Variables for the command line:
#   B=folder        where to build (default: build)
#   SANITIZE=list   e.g. address,undefined (use a B of its own)
#   WERROR=1        warnings are errors
#   VALGRIND=1      for check-valgrind, without system call filters (own B)
#   CONFIGURE_ARGS  handed to configure when it is first run
#   FUZZ=1          libFuzzer's main in the fuzz targets (make fuzz sets it)
#   FUZZ_SECONDS=n  how long `make fuzz` runs each target (default 60)
#   PYTEST_ARGS     for the end-to-end tests, e.g. "-k idle -x"
B ?= build
SANITIZE ?=
WERROR ?=
CONFIGURE_ARGS ?=
VALGRIND ?=
FUZZ ?=
FUZZ_SECONDS ?= 60
PYTEST_ARGS ?=
ifneq ($(FUZZ),)
SANITIZE := fuzzer-no-link,address,undefined
endif

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

NO_CONFIG_GOALS := clean distclean
ifeq ($(filter $(NO_CONFIG_GOALS),$(MAKECMDGOALS)),)
include $(B)/config.mk
endif

# Only tests need cmocka: it may have been installed after the first build.
ifneq ($(filter check check-unit,$(MAKECMDGOALS)),)
ifeq ($(strip $(CMOCKA_LIBS)),)
ifeq ($(shell pkg-config --exists cmocka 2>/dev/null && echo yes),yes)
$(shell rm -f $(B)/config.mk)
else
$(error the unit tests need cmocka (Debian: libcmocka-dev))
endif
endif
endif

configure: configure.ac
	autoconf -o $@ $<
	rm -rf autom4te.cache

$(B)/config.mk: configure common/config.mk.in common/config.h.in
	mkdir -p $(B)
	top=$$PWD && cd $(B) && "$$top/configure" --srcdir="$$top" --quiet $(CONFIGURE_ARGS)
	touch $@

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
    -Wmissing-prototypes -Wvla -Wwrite-strings -Wformat=2
ifneq ($(WERROR),)
WARNINGS += -Werror
endif
HARDEN := $(HARDEN_FLAGS)
LINK_HARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
# A first login starts a program: each symbol and each page less counts.
HARDEN += -ffunction-sections -fdata-sections
LINK_HARDEN += -Wl,--gc-sections $(LINK_FLAGS)
ifeq ($(SANITIZE),)
HARDEN += -D_FORTIFY_SOURCE=2
else
HARDEN := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
    -fno-omit-frame-pointer -DRESTANTE_SANITIZE=1
LINK_HARDEN := -pie -fsanitize=$(SANITIZE)
endif
ifneq ($(VALGRIND),)
HARDEN := -O1 -fno-omit-frame-pointer -DRESTANTE_SANITIZE=1 -DRESTANTE_VALGRIND=1
endif

ALL_CPPFLAGS = -Icommon -Imaster -I. -I$(B) -D_GNU_SOURCE \
    -DPKGLIBEXECDIR='"$(pkglibexecdir)"' -DBINDIR='"$(bindir)"' -DSYSCONFDIR='"$(sysconfdir)"' \
    -DLOCALSTATEDIR='"$(localstatedir)"' $(GNUTLS_CFLAGS) $(NETTLE_CFLAGS) \
    $(GSASL_CFLAGS) $(SECCOMP_CFLAGS) $(CONFUSE_CFLAGS) $(ZLIB_CFLAGS) $(ZSTD_CFLAGS) $(LMDB_CFLAGS) \
    $(CPPFLAGS)
# gcc 12 takes a loop that moves the elements of one list.h list to another
# for an endless one unless strict aliasing is off.
ALL_CFLAGS = -std=gnu11 -fno-strict-aliasing -fPIE $(WARNINGS) $(HARDEN) $(CFLAGS)

SANITIZE_OBJECT := $(if $(SANITIZE),$(B)/tests/lib/sanitize.o)

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
$(1)_LINKS := $(3)
$(B)/$(2)/$(1): $(B)/$(2)/main.o $(SANITIZE_OBJECT) $(B)/$(2)/lib.a $(patsubst %,$(B)/%/lib.a,$(3))
	@echo "  LINK    $$@"
	@$$(CC) $$(ALL_CFLAGS) $$(LINK_HARDEN) $$(LDFLAGS) -o $$@ $(B)/$(2)/main.o \
	    $(SANITIZE_OBJECT) \
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
    $(SECCOMP_LIBS) $(CONFUSE_LIBS) $(ZLIB_LIBS) $(ZSTD_LIBS) $(EV_LIBS) $(PAM_LIBS) \
    $(LMDB_LIBS) $(CRYPT_LIBS) $(UNISTRING_LIBS)

# Every program also stands in one folder, where restanted finds the others
# when it runs from the build tree (setting libexec_dir).
BIN := $(foreach p,$(PROGRAM_LIST),$(B)/bin/$(firstword $(subst :, ,$(p))))
define bin_link
$(B)/bin/$(1): $(B)/$(2)/$(1)
	@mkdir -p $(B)/bin
	@ln -f $(B)/$(2)/$(1) $(B)/bin/$(1)
endef
$(foreach p,$(PROGRAM_LIST),$(eval $(call bin_link,$(word 1,$(subst :, ,$(p))),$(word 2,$(subst :, ,$(p))))))

all: $(PROGRAMS) $(BIN)

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

.PHONY: all check check-unit check-fuzz check-e2e check-valgrind install dist fuzz bench lint \
    clean distclean
# As many at a time as there are processors; long ones first, or the last one
# to start would be waited for alone.
UNIT_PARALLEL ?= $(shell nproc)
UNIT_LONG := $(foreach t,mbox_crash mbox_steps mbox_shift model steps crash,$(filter %/$(t)_test,$(TEST_PROGRAMS)))
check-unit: $(TEST_PROGRAMS)
	@printf '%s\n' $(UNIT_LONG) $(filter-out $(UNIT_LONG),$(TEST_PROGRAMS)) | \
	    xargs -P $(UNIT_PARALLEL) -I{} sh -c \
	    'if {} >{}.log 2>&1; then echo "  ok      {}"; \
	    else echo "  FAILED  {}"; cat {}.log; exit 1; fi'

# The first python3 that has pytest: the one in PATH may belong to somebody.
PYTHON ?= $(shell for p in python3 /usr/bin/python3; do \
    $$p -c 'import pytest' 2>/dev/null && { echo $$p; exit; }; done; \
    echo python3)

# Tests mostly wait; with pytest-xdist four files run at a time. Without root
# all have one uid, whose 128 inotify instances are enough for three.
PYTEST_PARALLEL ?= $(shell $(PYTHON) -c 'import xdist' 2>/dev/null && \
    { [ "$$(id -u)" = 0 ] && n=4 || n=3; printf '%s' "-n $$n --dist loadfile"; })

check-e2e: all
	RESTANTE_BUILD="$(abspath $(B))" RESTANTE_SANITIZE=$(SANITIZE) \
	    tests/e2e/run $(PYTHON) "$(abspath $(B))/e2e.failed" -q \
	    -p no:cacheprovider $(PYTEST_PARALLEL) tests/e2e $(PYTEST_ARGS)

# make B=build/valgrind VALGRIND=1 check-valgrind: every unit test, and a part
# of the others (some twenty minutes). Not those that start themselves anew or
# need Landlock, which valgrind does not know.
VALGRIND_UNIT = valgrind -q --vgdb=no --error-exitcode=99 --child-silent-after-fork=yes \
    --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
    --suppressions=tests/lib/valgrind.supp
VALGRIND_SKIP := $(B)/common/index/index_process_test $(B)/common/os/os_test \
    $(B)/common/host/host_test
VALGRIND_E2E ?= tests/e2e/test_auth.py tests/e2e/test_pop3.py \
    tests/e2e/test_imap_fetch.py tests/e2e/test_imap_store.py \
    tests/e2e/test_imap_append.py tests/e2e/test_imap_copy.py \
    tests/e2e/test_handover.py

check-valgrind: all $(TEST_PROGRAMS)
	@test -n "$(VALGRIND)" || { echo "say VALGRIND=1 and a B of its own"; exit 1; }
	@bad=0; for t in $(filter-out $(VALGRIND_SKIP),$(TEST_PROGRAMS)); do \
	    if $(VALGRIND_UNIT) $$t >$$t.valgrind 2>&1; then echo "  ok      $$t"; \
	    else echo "  FAILED  $$t (see $$t.valgrind)"; bad=1; fi; done; exit $$bad
	rm -rf $(B)/findings && mkdir -p $(B)/findings
	RESTANTE_BUILD="$(abspath $(B))" RESTANTE_SANITIZE=valgrind \
	    RESTANTE_VALGRIND="$(abspath $(B))/findings" \
	    $(PYTHON) -m pytest -q -p no:cacheprovider $(VALGRIND_E2E) $(PYTEST_ARGS)
	@if [ -n "$$(ls $(B)/findings)" ]; then cat $(B)/findings/*; exit 1; fi

check: all check-unit check-fuzz check-e2e

lint: all
	$(PYTHON) tests/lint/lint.py --build "$(abspath $(B))" \
	    $(foreach p,$(PROGRAM_LIST),--program $(p):$(subst $(empty) ,$(comma),$(strip $($(firstword $(subst :, ,$(p)))_LINKS))))

bench: all $(BENCH_FLOOR)
	RESTANTE_BUILD="$(abspath $(B))" $(PYTHON) tests/bench/bench.py $(BENCH_ARGS)

comma := ,
empty :=

# ---- installing --------------------------------------------------------------

INSTALL ?= install
# The places that were configured, in manual pages and samples.
PLACES = sed -e 's|/etc/restante|$(sysconfdir)/restante|g' \
    -e 's|/var/lib/restante|$(localstatedir)/lib/restante|g' \
    -e 's|/usr/libexec/restante|$(pkglibexecdir)|g' \
    -e 's|/usr/sbin/|$(sbindir)/|g'
MAN_PAGES := $(sort $(wildcard man/*.[1-9]))
UNITDIR ?= $(prefix)/lib/systemd/system
DOCS := README.md NEWS.md SECURITY.md

install: all
	set -e; $(foreach p,$(PROGRAM_LIST),\
	    $(INSTALL) -d $(DESTDIR)$($(word 1,$(subst :, ,$(p)))_INSTALL); \
	    $(INSTALL) -m 755 $(B)/$(word 2,$(subst :, ,$(p)))/$(word 1,$(subst :, ,$(p))) \
	        $(DESTDIR)$($(word 1,$(subst :, ,$(p)))_INSTALL)/;)
	set -e; for page in $(MAN_PAGES); do \
	    dir=$(DESTDIR)$(mandir)/man$${page##*.}; $(INSTALL) -d $$dir; \
	    $(PLACES) $$page >$$dir/$${page##*/}; \
	    chmod 644 $$dir/$${page##*/}; done
	$(INSTALL) -d $(DESTDIR)$(docdir) $(DESTDIR)$(sysconfdir)/restante
	$(INSTALL) -m 644 $(wildcard $(DOCS)) $(DESTDIR)$(docdir)/
	set -e; for f in $(wildcard master/conf/*.in); do \
	    name=$${f##*/}; name=$${name%.in}; \
	    case $$name in \
	    *.service|*.socket) dir=$(UNITDIR);; \
	    *.sysusers) dir=$(prefix)/lib/sysusers.d; name=restante.conf;; \
	    *.tmpfiles) dir=$(prefix)/lib/tmpfiles.d; name=restante.conf;; \
	    *.pam) dir=$(sysconfdir)/pam.d; name=$${name%.pam};; \
	    *) dir=$(sysconfdir)/restante;; esac; \
	    $(INSTALL) -d $(DESTDIR)$$dir; \
	    test -e $(DESTDIR)$$dir/$$name && \
	        case $$dir in $(sysconfdir)*) name=$$name.new;; esac; \
	    $(PLACES) $$f >$(DESTDIR)$$dir/$$name; \
	    chmod 644 $(DESTDIR)$$dir/$$name; done

DIST := restante-$(VERSION)

# What git has; from an unpacked tarball everything but build folders.
dist: configure
	rm -rf $(B)/$(DIST) && mkdir -p $(B)/$(DIST)
	if git rev-parse --git-dir >/dev/null 2>&1; then git ls-files; \
	    else find . -path './build*' -prune -o -type f -print; fi | \
	    tar -cf - -T - configure | tar -xf - -C $(B)/$(DIST)
	tar -czf $(B)/$(DIST).tar.gz -C $(B) --owner=0 --group=0 $(DIST)
	rm -rf $(B)/$(DIST)
	@echo "$(B)/$(DIST).tar.gz"

clean distclean:
	rm -rf $(B)
