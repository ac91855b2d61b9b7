# SPDX-License-Identifier: ISC
# fuzz_X.c with X.dict and corpus/X/. In plain builds replay.c gives each target
# a main that feeds the corpus; with FUZZ=1 libFuzzer's takes its place.
# A target that needs a program's folder names it: fuzz_X_LIBS := master/login
FUZZ_NAMES := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_PROGRAMS := $(patsubst %,$(B)/tests/fuzz/%,$(FUZZ_NAMES))
OBJECTS += $(patsubst %,$(B)/tests/fuzz/%.o,$(FUZZ_NAMES) replay)
-include $(wildcard tests/fuzz/*.libs)
FUZZ_COMMON := $(filter $(B)/common/%,$(LIBRARIES))

define fuzz_program
$(B)/tests/fuzz/$(1): $(patsubst %,$(B)/%/lib.a,$($(1)_LIBS))
$(B)/tests/fuzz/$(1): FUZZ_OWN := $(patsubst %,$(B)/%/lib.a,$($(1)_LIBS))
endef
$(foreach f,$(FUZZ_NAMES),$(eval $(call fuzz_program,$(f))))

$(FUZZ_PROGRAMS): %: %.o $(B)/tests/fuzz/replay.o $(FUZZ_COMMON)
	@echo "  LINK    $@"
	@$(CC) $(ALL_CFLAGS) $(LINK_HARDEN) $(LDFLAGS) -o $@ $< \
	    $(if $(FUZZ),-fsanitize=fuzzer,$(B)/tests/fuzz/replay.o) \
	    -Wl,--start-group $(FUZZ_OWN) $(FUZZ_COMMON) -Wl,--end-group \
	    $(ALL_SYS_LIBS)

check-fuzz: $(FUZZ_PROGRAMS)
	@set -e; for f in $(FUZZ_NAMES); do \
	    if $(B)/tests/fuzz/$$f tests/fuzz/corpus/$${f#fuzz_} \
	        >$(B)/tests/fuzz/$$f.log 2>&1; \
	    then echo "  ok      $$f `tail -n 1 $(B)/tests/fuzz/$$f.log`"; \
	    else echo "  FAILED  $$f"; tail -n 40 $(B)/tests/fuzz/$$f.log; \
	    exit 1; fi; done

# The same folder tree once more, built by clang for libFuzzer.
fuzz:
	$(MAKE) B=$(B)/fuzz FUZZ=1 CONFIGURE_ARGS="CC=$(FUZZ_CC)" fuzz-run

.PHONY: fuzz-build fuzz-run
fuzz-build: $(FUZZ_PROGRAMS)

fuzz-run: $(FUZZ_PROGRAMS)
	tests/fuzz/run $(B)/tests/fuzz $(FUZZ_SECONDS) $(FUZZ_NAMES)
