# SPDX-License-Identifier: ISC
#
# GNU make.  `make help` names the targets.

VERSION := 0.1.0

# The modules: a folder for each process, and two for what all share.  A new one
# is named here, in its place in ARCHITECTURE.md, and nowhere else: of them the
# linker takes for each program what that uses, and test/unit/NAME_test.c tests
# NAME, with what that uses and nothing else.  (What a module may use stands in
# test/modules.)
PROGRAMS := fcgi-sse sse-publish
top := block client complain cookie delivery follow follow_channels \
	line_queue line_sender lines \
	move origin outlet plain progress publish_lines redis_sub refusal reply request respond \
	resume session session_grant session_key stream stream_grant stream_sink \
	verdict
parent := carriers children handover kept listener place pool signals socket start state
recorder := expected lease limits record_pub record_queue record_relay record_sub \
	recorder
carrier := carried carrier fan fan_reset fan_sink fan_write fcgi_record guests \
	offer outflow patience recent
redis := channel command connect event publish record redis_conn snapshot sse sub_message take \
	take_answer
base := backoff buf clock config fdpass glob log parse password redis_address sandbox stop utf8

FOLDERS := parent carrier recorder redis base
MODULES := $(top) $(foreach folder,$(FOLDERS),$($(folder)))
vpath %.c $(FOLDERS)

# Each program is linked with those that it uses (--as-needed).
LIBS := -lfcgi -lhiredis -lcjson -lmd

# Where the installed program lies, and its parts.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share/fcgi-sse
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/fcgi-sse
INSTALL ?= install

# LIBS_PREFIX=DIR: the libraries stand in DIR/include and DIR/lib.
LIBS_PREFIX ?=
# Tests run on Debian's own Python: what apt installs is for that one.
PYTHON ?= /usr/bin/python3
PYTEST_ARGS ?=
FUZZ_SECONDS ?= 20
E2E ?= test/e2e
# End-to-end tests at a time: more than there are processors, for most of a
# test is waiting; each has a browser, so not too many.
E2E_JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); \
	echo $$((n < 3 ? 2 * n + 2 : 8)))
DEMO_ARGS ?=

# SAN=1 builds with sanitizers in a folder of its own, beside the other flavour;
# FUZZ=1 is how `make fuzz` builds.
ifeq ($(SAN),1)
BUILD := build/san
OUT := $(BUILD)/
TEST_MARK ?= not soak and not chromium
else ifeq ($(FUZZ),1)
BUILD := build/fuzz
OUT := $(BUILD)/
else
BUILD ?= build
# the programs' place: the top folder; elsewhere for another BUILD
OUT := $(if $(filter build,$(BUILD)),,$(BUILD)/)
TEST_MARK ?= not soak
endif
export TEST_MARK
GEN := build/lua

# Targets that start from nothing: they install what is missing first, and call
# make again for the rest.  A compiler is not looked for before.
FROM_NOTHING := check soak demo bench bench-quick fuzz lint format clean uninstall help vendor
ifneq ($(filter-out $(FROM_NOTHING),$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/probed.mk
endif

ifneq ($(filter 1,$(SAN) $(FUZZ)),)
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer $(if $(filter 1,$(FUZZ)),-fsanitize=fuzzer-no-link)
HARDENING :=
OPTIMIZE := -O1 -g
else
SAN_FLAGS :=
# _FORTIFY_SOURCE without optimisation is only a warning
HARDENING := $(PROBED_CFLAGS) \
	$(if $(filter -O0,$(CFLAGS)),,$(PROBED_FORTIFY))
OPTIMIZE := -O2 -g
endif

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion \
	-Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wcast-qual -Wundef -Wvla -Wimplicit-fallthrough \
	$(if $(filter 1,$(WERROR)),-Werror)
ALL_CPPFLAGS := -std=c11 -D_GNU_SOURCE -DFCGI_SSE_VERSION=\"$(VERSION)\" \
	-I. -I$(GEN) $(LIBS_PREFIX:%=-isystem %/include) -include base/banned.h \
	$(CPPFLAGS)
# The user's flags come last and win.
ALL_CFLAGS := $(WARNINGS) $(OPTIMIZE) $(SAN_FLAGS) $(HARDENING) $(CFLAGS)
ALL_LDFLAGS := $(PROBED_LDFLAGS) $(SAN_FLAGS) $(LIBS_PREFIX:%=-L%/lib) \
	$(LDFLAGS)

LUA_HEADERS := $(patsubst lua/%.lua,$(GEN)/lua_%.h,$(wildcard lua/*.lua))
UNIT_TESTS := $(wildcard $(MODULES:%=test/unit/%_test.c))
FUZZERS := $(wildcard test/fuzz/*_fuzz.c)

# what a recipe says instead of its command, unless V=1
ifeq ($(V),1)
say =
else
say = @echo '  $(1)	$@';
endif

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
.PHONY: all check check-modules check-unit check-e2e check-carriers npm-packages soak lint format \
	fuzz run-fuzzers demo install uninstall clean help FORCE

all: $(PROGRAMS:%=$(OUT)%)

$(PROGRAMS:%=$(OUT)%): $(OUT)%: $(BUILD)/%.o $(BUILD)/modules.a
	$(call say,LINK)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) $(LDLIBS)

$(BUILD)/modules.a: $(MODULES:%=$(BUILD)/%.o) Makefile
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/%.o: %.c $(BUILD)/flags | $(LUA_HEADERS)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(GEN)/lua_%.h: lua/%.lua tools/embed-lua
	@mkdir -p $(@D)
	$(call say,LUA)tools/embed-lua $< >$@

# Rewritten only when it changes: other flags, or another compiler, mean that
# everything is compiled anew.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS))' >$@.new
	@cmp -s $@.new $@ && rm -f $@.new || mv -f $@.new $@

$(BUILD)/compiler: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(CPPFLAGS) $(LIBS_PREFIX))' >$@.new
	@cmp -s $@.new $@ && rm -f $@.new || mv -f $@.new $@

$(BUILD)/probed.mk: tools/probe-compiler $(BUILD)/compiler
	@CC='$(CC)' CPPFLAGS='$(LIBS_PREFIX:%=-isystem %/include) $(CPPFLAGS)' \
		tools/probe-compiler >$@

# check-unit

$(BUILD)/%_test: $(BUILD)/%_test.o $(BUILD)/modules.a
	$(call say,LINK)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ \
		-lcmocka $(LIBS) $(LDLIBS)

check-unit: $(UNIT_TESTS:%.c=$(BUILD)/%)
	@tools/run-unit-tests $^

# exec: a SIGTERM to make reaches the tests, which end as at Ctrl-C.
check-e2e: all bench-programs
	@FCGI_SSE_BIN='$(abspath $(OUT)fcgi-sse)' \
	SSE_PUBLISH_BIN='$(abspath $(OUT)sse-publish)' \
	BENCH_BUILD='$(abspath $(BUILD)/bench)' \
	$(if $(filter 1,$(SAN)),$(SAN_ENV)) \
	exec tools/leave-nothing $(PYTHON) -m pytest -rs -n $(E2E_JOBS) --dist load \
		--durations=10 --durations-min=1 -m "$$TEST_MARK" \
		$(PYTEST_ARGS) $(E2E)

# The tests of streams once more, where streams share processes.  Tests of other
# things, and those that set --streams-per-process themselves, have had their turn.
STREAM_TESTS := auth_request bytes eviction live plain_exact policy recorder redis_failures \
	redis_users resume session session_frameworks slow_clients traps waiting

check-carriers:
	@FCGI_SSE_STREAMS_PER_PROCESS=50 $(MAKE) --no-print-directory check-e2e \
		E2E='$(STREAM_TESTS:%=test/e2e/test_%.py)' \
		TEST_MARK='not soak and not chromium'

SAN_ENV := \
	ASAN_OPTIONS="$${ASAN_OPTIONS:-detect_stack_use_after_return=1}" \
	UBSAN_OPTIONS="$${UBSAN_OPTIONS:-print_stacktrace=1}"

check-modules:
	@tools/check-modules

# npm's test packages, anew when the lock is newer; where they cannot be had
# the tests that need them count as skipped.
npm-packages:
	@tools/npm-packages test/e2e
	@tools/npm-packages bench/peers/node

check:
	@tools/deps check
	@$(MAKE) --no-print-directory all npm-packages
	@$(MAKE) --no-print-directory check-modules
	@$(MAKE) --no-print-directory check-unit
	@$(MAKE) --no-print-directory check-e2e

soak:
	@tools/deps check
	@$(MAKE) --no-print-directory all npm-packages
	@$(MAKE) --no-print-directory check-e2e TEST_MARK=soak

demo:
	@tools/deps demo
	@$(MAKE) --no-print-directory all
	@./sse-serve $(DEMO_ARGS) || { status=$$?; \
		echo 'make demo DEMO_ARGS=--port=PORT passes options to sse-serve' >&2; \
		exit $$status; }

lint:
	@tools/deps lint
	@$(MAKE) --no-print-directory lua-headers
	@tools/lint

format:
	git ls-files -z --cached --others --exclude-standard '*.c' '*.h' | \
		xargs -0 clang-format -i

.PHONY: lua-headers
lua-headers: $(LUA_HEADERS)
	@:

# Fuzzers: clang's libFuzzer over the pure modules, each for FUZZ_SECONDS.
FUZZ_CC ?= clang

$(BUILD)/%_fuzz: $(BUILD)/test/fuzz/%_fuzz.o $(BUILD)/modules.a
	$(call say,LINK)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ \
		$(LIBS) $(LDLIBS)

fuzz:
	@tools/deps fuzz
	@$(MAKE) --no-print-directory FUZZ=1 CC='$(FUZZ_CC)' run-fuzzers

run-fuzzers: $(FUZZERS:test/fuzz/%.c=$(BUILD)/%)
	@FUZZ_SECONDS='$(FUZZ_SECONDS)' tools/run-fuzzers $^

# install

STATIC = $(shell find static -path static/vendor -prune -o -type f -print)
MAN_PAGES = $(wildcard man/*.[1-8])
DOCS = $(wildcard README.md ARCHITECTURE.md LICENSE *.example)

install: all
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(DATADIR) \
		$(DESTDIR)$(DOCDIR)
	$(INSTALL) -m 755 $(OUT)fcgi-sse $(OUT)sse-publish sse-serve \
		$(DESTDIR)$(BINDIR)
	$(INSTALL) -m 644 lua/publish.lua $(DESTDIR)$(DATADIR)
	set -e; for f in $(STATIC); do \
		$(INSTALL) -d "$(DESTDIR)$(DATADIR)/$$(dirname "$$f")"; \
		$(INSTALL) -m 644 "$$f" "$(DESTDIR)$(DATADIR)/$$f"; done
	$(INSTALL) -m 644 $(DOCS) $(DESTDIR)$(DOCDIR)
	# contrib's links to publish.lua and sse.js become files
	cp -rL contrib $(DESTDIR)$(DATADIR)
	find $(DESTDIR)$(DATADIR)/contrib \( -name __pycache__ \
		-o -name '*.egg-info' -o -name build \) -prune -exec rm -rf {} +
	set -e; for f in $(MAN_PAGES); do \
		$(INSTALL) -d $(DESTDIR)$(MANDIR)/man$${f##*.}; \
		$(INSTALL) -m 644 $$f $(DESTDIR)$(MANDIR)/man$${f##*.}; done

uninstall:
	rm -f $(patsubst %,$(DESTDIR)$(BINDIR)/%,fcgi-sse sse-publish sse-serve)
	rm -f $(patsubst %,$(DESTDIR)$(MANDIR)/%,man8/fcgi-sse.8 \
		man1/sse-publish.1 man1/sse-serve.1)
	rm -rf $(DESTDIR)$(DATADIR) $(DESTDIR)$(DOCDIR)

clean:
	rm -rf build fcgi-sse sse-publish

include bench/bench.mk

help:
	@echo 'make               build ./fcgi-sse and ./sse-publish'
	@echo 'make demo          from nothing: install what is missing, build, serve on port 8888'
	@echo 'make check         from nothing: unit tests, then the end-to-end tests'
	@echo '  check-unit, check-e2e, check-modules: one part, without installing anything'
	@echo '                   (PYTEST_ARGS="-k word", TEST_MARK="not soak")'
	@echo '  check-carriers: the tests of streams once more, where streams share processes'
	@echo 'make SAN=1 ...     the same, with ASan and UBSan, in build/san'
	@echo 'make soak          the end-to-end tests that take long'
	@echo 'make bench         fcgi-sse beside others, an hour; bench-quick: a minute (bench/README.md)'
	@echo 'make lint          form, cppcheck, clang-tidy, shellcheck, manuals, Lua'
	@echo 'make format        give the C sources their form'
	@echo 'make fuzz          each fuzzer for FUZZ_SECONDS=20'
	@echo 'make vendor        the polyfill for old browsers, and jQuery, into static/vendor'
	@echo 'make install       DESTDIR= PREFIX=/usr/local; uninstall'
	@echo 'CC, CFLAGS, CPPFLAGS, LDFLAGS, LIBS_PREFIX=DIR; WERROR=1; V=1; BUILD=build/DIR'

# What pages may use beside sse.js, into static/vendor; no install brings it.  The
# tests of the pages need that too.
vendor:
	@tools/vendor/install

npm-packages: npm-packages-pages
npm-packages-pages:
	@tools/vendor/install --if-possible
.PHONY: vendor npm-packages-pages

-include $(wildcard $(BUILD)/*.d $(BUILD)/test/unit/*.d $(BUILD)/test/fuzz/*.d)
