# SPDX-License-Identifier: ISC
#
# make bench, make bench-quick: see bench/README.md.  The load generator is no
# module: it uses nothing of the programs that it measures.
BENCH_ARGS ?=
LOAD_OBJECTS := $(patsubst %,$(BUILD)/bench/%.o,load loop net publishers samples \
	sse streams window)

$(BUILD)/bench/load: $(LOAD_OBJECTS)
	$(call say,LINK)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lhiredis $(LDLIBS)

bench-programs: $(BUILD)/bench/load

-include $(wildcard $(BUILD)/bench/*.d)
