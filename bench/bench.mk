# SPDX-License-Identifier: ISC
#
# make bench, make bench-quick: see bench/README.md.  These programs are no
# modules: they use nothing of what they measure.
BENCH_ARGS ?=
BENCH_PROGRAMS := load floor fork_floor
LOAD_OBJECTS := $(patsubst %,$(BUILD)/bench/%.o,load loop net publishers samples \
	sse steps streams window)

$(BUILD)/bench/load: $(LOAD_OBJECTS)
$(BUILD)/bench/floor: $(BUILD)/bench/floor.o
$(BUILD)/bench/fork_floor: $(BUILD)/bench/fork_floor.o
$(BENCH_PROGRAMS:%=$(BUILD)/bench/%):
	$(call say,LINK)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lhiredis $(LDLIBS)

bench-programs: $(BENCH_PROGRAMS:%=$(BUILD)/bench/%)

bench bench-quick:
	@tools/deps bench
	@$(MAKE) --no-print-directory all bench-programs
	@tools/npm-packages bench/peers/node
	@FCGI_SSE_BIN='$(abspath $(OUT)fcgi-sse)' \
	SSE_PUBLISH_BIN='$(abspath $(OUT)sse-publish)' \
	BENCH_BUILD='$(abspath $(BUILD)/bench)' \
	exec $(PYTHON) bench/bench $(if $(filter bench-quick,$@),--quick) $(BENCH_ARGS)

.PHONY: bench bench-quick bench-programs
-include $(wildcard $(BUILD)/bench/*.d)
