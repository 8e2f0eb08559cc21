# SPDX-License-Identifier: ISC
#
# GNU make.  `make help` names the targets.  The programs are lists of modules:
# this file is the map of what depends on what.

VERSION := 0.1.0

FCGI_SSE := fcgi-sse config socket children handover listener client request \
	channel reply cookie session session_record session_store redis_address \
	redis_conn command take redis_sub resume recent publish recorder \
	record_sub record_queue pending lease history_limits event sse outlet \
	progress plain follow stream sandbox clock log buf parse
SSE_PUBLISH := sse-publish config channel redis_address redis_conn command \
	publish event sse clock log buf parse

# A unit test or fuzzer links its module and what that may use, nothing else.
# Each is one row: the name of test/unit/NAME.c or test/fuzz/NAME.c, and the
# modules it is linked with.
buf_test := buf
parse_test := parse buf
event_test := event parse buf
sse_test := sse event parse buf
config_test := config redis_address parse buf
redis_address_test := redis_address parse buf
command_test := command
channel_test := channel parse buf
take_test := take command
request_test := request channel parse buf
cookie_test := cookie parse buf
session_record_test := session_record channel parse buf
session_test := session session_record channel parse buf
reply_test := reply buf
resume_test := resume
recent_test := recent
progress_test := progress
plain_test := plain recent event sse parse buf
pending_test := pending
lease_test := lease parse buf
log_test := log
children_test := children log

parse_fuzz := parse buf
event_fuzz := event parse buf
sse_fuzz := sse event parse buf
request_fuzz := request session session_record channel parse buf

# Which module needs which library: whatever holds it is linked with that.
LIBS_client := -lfcgi
LIBS_redis_conn := -lhiredis
LIBS_redis_sub := -lhiredis
LIBS_event := -lcjson
LIBS_session_record := -lcjson
LIBS_session_store := -lmd

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
# End-to-end tests at a time: one more than there are processors, for most of a
# test is waiting; each has a browser, so not too many.
E2E_JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); \
	echo $$((n < 7 ? n + 1 : 8)))
DEMO_ARGS ?=

# SAN=1 builds with sanitizers in a folder of its own, beside the other flavour.
ifeq ($(SAN),1)
BUILD := build/san
OUT := $(BUILD)/
TEST_MARK ?= not soak and not chromium
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
FROM_NOTHING := check soak demo fuzz lint format clean uninstall help vendor
ifneq ($(filter-out $(FROM_NOTHING),$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/probed.mk
endif

ifeq ($(SAN),1)
HARDENING :=
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
OPTIMIZE := -O1 -g
else
# _FORTIFY_SOURCE without optimisation is only a warning
HARDENING := $(PROBED_CFLAGS) \
	$(if $(filter -O0,$(CFLAGS)),,$(PROBED_FORTIFY))
SAN_FLAGS :=
OPTIMIZE := -O2 -g
endif

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion \
	-Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wcast-qual -Wundef -Wvla -Wimplicit-fallthrough \
	$(if $(filter 1,$(WERROR)),-Werror)
ALL_CPPFLAGS := -std=c11 -D_GNU_SOURCE -DFCGI_SSE_VERSION=\"$(VERSION)\" \
	-I. -I$(GEN) $(LIBS_PREFIX:%=-isystem %/include) -include banned.h \
	$(CPPFLAGS)
# The user's flags come last and win.
ALL_CFLAGS := $(WARNINGS) $(OPTIMIZE) $(SAN_FLAGS) $(HARDENING) $(CFLAGS)
ALL_LDFLAGS := $(PROBED_LDFLAGS) $(SAN_FLAGS) $(LIBS_PREFIX:%=-L%/lib) \
	$(LDFLAGS)

LUA_HEADERS := $(patsubst lua/%.lua,$(GEN)/lua_%.h,$(wildcard lua/*.lua))
UNIT_TESTS := $(basename $(notdir $(wildcard test/unit/*_test.c)))
FUZZERS := $(basename $(notdir $(wildcard test/fuzz/*_fuzz.c)))

# libs(modules): the libraries they need
libs = $(sort $(foreach m,$(1),$(LIBS_$(m)))) $(LDLIBS)
# row(name): its modules; an error if this file has no row of that name
row = $(or $($(1)),$(error the Makefile has no row for $(1)))

# what a recipe says instead of its command, unless V=1
ifeq ($(V),1)
say =
else
say = @echo '  $(1)	$@';
endif

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all check check-modules check-unit check-e2e npm-packages soak lint format \
	fuzz demo install uninstall clean help FORCE

all: $(OUT)fcgi-sse $(OUT)sse-publish

$(OUT)fcgi-sse: $(FCGI_SSE:%=$(BUILD)/%.o)
	$(call say,LINK)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ \
		$(call libs,$(FCGI_SSE))

$(OUT)sse-publish: $(SSE_PUBLISH:%=$(BUILD)/%.o)
	$(call say,LINK)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ \
		$(call libs,$(SSE_PUBLISH))

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

define unit_test
$(BUILD)/test/unit/$(1): $(BUILD)/test/unit/$(1).o \
		$(patsubst %,$(BUILD)/%.o,$($(1)))
	$$(if $$(call row,$(1)),$$(call say,LINK)$$(CC)) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) \
		-o $$@ $$^ -lcmocka $$(call libs,$($(1)))
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_test,$(t))))

check-unit: $(UNIT_TESTS:%=$(BUILD)/test/unit/%)
	@tools/run-unit-tests $^

# exec: a SIGTERM to make reaches the tests, which end as at Ctrl-C.
check-e2e: all
	@FCGI_SSE_BIN='$(abspath $(OUT)fcgi-sse)' \
	SSE_PUBLISH_BIN='$(abspath $(OUT)sse-publish)' \
	$(if $(filter 1,$(SAN)),$(SAN_ENV)) \
	exec tools/leave-nothing $(PYTHON) -m pytest -rs -n $(E2E_JOBS) --dist load \
		--durations=10 --durations-min=1 -m "$$TEST_MARK" \
		$(PYTEST_ARGS) $(E2E)
SAN_ENV := \
	ASAN_OPTIONS="$${ASAN_OPTIONS:-detect_stack_use_after_return=1}" \
	UBSAN_OPTIONS="$${UBSAN_OPTIONS:-print_stacktrace=1}"

check-modules:
	@tools/check-modules

# npm's test packages, anew when the lock is newer; where they cannot be had
# the tests that need them count as skipped.
npm-packages:
	@tools/npm-packages test/e2e

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
FUZZ_FLAGS := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -O1 -g

define fuzzer
build/fuzz/$(1): test/fuzz/$(1).c $(patsubst %,%.c,$($(1))) $(wildcard *.h)
	@mkdir -p $$(@D)
	$$(if $$(call row,$(1)),$$(call say,FUZZ)$$(FUZZ_CC)) $$(ALL_CPPFLAGS) $$(WARNINGS) \
		$$(FUZZ_FLAGS) -o $$@ $$(filter %.c,$$^) $$(call libs,$($(1)))
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzzer,$(f))))

fuzz:
ifeq ($(FUZZERS),)
	@echo 'fuzz: test/fuzz has no NAME_fuzz.c yet'
else
	@tools/deps fuzz
	@$(MAKE) --no-print-directory $(FUZZERS:%=build/fuzz/%)
	@FUZZ_SECONDS='$(FUZZ_SECONDS)' tools/run-fuzzers \
		$(FUZZERS:%=build/fuzz/%)
endif

# install

STATIC = $(shell find static -path static/vendor -prune -o -type f -print)
MAN_PAGES = $(wildcard fcgi-sse.8 sse-publish.1 sse-serve.1)
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

help:
	@echo 'make               build ./fcgi-sse and ./sse-publish'
	@echo 'make demo          from nothing: install what is missing, build, serve on port 8888'
	@echo 'make check         from nothing: unit tests, then the end-to-end tests'
	@echo '  check-unit, check-e2e, check-modules: one part, without installing anything'
	@echo '                   (PYTEST_ARGS="-k word", TEST_MARK="not soak")'
	@echo 'make SAN=1 ...     the same, with ASan and UBSan, in build/san'
	@echo 'make soak          the end-to-end tests that take long'
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

-include $(wildcard $(BUILD)/*.d $(BUILD)/test/unit/*.d)
