# SPDX-License-Identifier: ISC
# What the system alone takes for the rows of the bench (profile.py runs it).
BENCH_FLOOR := $(B)/tests/bench/floor
BENCH_COMMON := $(filter $(B)/common/%,$(LIBRARIES))
OBJECTS += $(BENCH_FLOOR).o

$(BENCH_FLOOR): $(BENCH_FLOOR).o $(BENCH_COMMON)
	@echo "  LINK    $@"
	@$(CC) $(ALL_CFLAGS) $(LINK_HARDEN) $(LDFLAGS) -o $@ $< \
	    -Wl,--start-group $(BENCH_COMMON) -Wl,--end-group $(ALL_SYS_LIBS)
