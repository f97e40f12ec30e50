# Everything that is built goes to build/. On Debian, tests/setup.sh installs
# what a target needs and does nothing when it is there.

CC = cc
CLANG = clang

# _DEFAULT_SOURCE: the POSIX port and the tests use more than C99 has.
CFLAGS = -std=c99 -D_DEFAULT_SOURCE= -Wall -Wextra -g -O1
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all

MODEL = model wire expression
HEADERS = dynalock.h $(wildcard tests/*.h tests/*/*.h)
UNIT = $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZ = $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
CONTENDER = build/conformance/contender
CONFORMANCE = $(filter-out $(CONTENDER),\
    $(patsubst tests/%.c,build/%,$(wildcard tests/conformance/*.c)))
EXAMPLES = $(patsubst %.c,build/%,$(wildcard examples/*.c))
BENCH = $(patsubst tests/%.c,build/%,$(wildcard tests/bench/*.c))
MANUALS = build/manual build/readme

UNIT_PLAIN = $(UNIT:%=build/unit/%)
THREADS = build/tsan/threads
UNIT_SANITIZED = $(UNIT:%=build/sanitized/%)
SOURCES = $(patsubst tests/%.c,build/%,$(wildcard tests/sources/*.c))
# Compilers turn arithmetic into branches, each in its own way.
SECRETS = $(patsubst %,build/secrets/%,gcc-O2 gcc-Os clang-O2 clang-Os)
FUZZERS = $(FUZZ:%=build/fuzz/%) build/replay/http

.DELETE_ON_ERROR:
.PHONY: help setup demo test programs faults memory coverage simulate contend fuzz firmware portability mutants interop lint static vectors sizes bench cli install footprint clean

help: ## print this table
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 18
	@echo '[1] UPDATE=1 puts the figures into README.md, CHECK=1 compares'
	@echo '[2] RUNS=n SEED=s DEVICES=d WORLD=a,b TRACE=1'
	@echo '[3] SECONDS=n SERVER=dynoxide|dynalite'
	@echo '[4] GO=1 fetches the Go libraries, too, instead of playing them'
	@echo '[5] TARGET=http SECONDS=n (for each target) ENGINE=libfuzzer|afl'

setup:
	@tests/setup.sh test

demo: ## watch two devices contend for a lock on a local server
	@tests/setup.sh demo
	@$(MAKE) --no-print-directory build/examples/demo_device
	@/usr/bin/python3 tests/demo.py

# A program that does not build is missing then, which counts as a failure.
test: setup ## run every test; the last line is `N passed, N failed`
	-@$(MAKE) --no-print-directory -k -j2 -O programs
	@tests/run.py \
	    $(foreach target,$(FUZZ),'$(fuzz)') '$(replay)' \
	    $(foreach set,$(SIMULATED),'build/simulate $(subst :, ,$(set))') \
	    '$(call same,tools/gen_vectors,tests/vectors.h)' \
	    '$(call same,tests/gen_json_corpus.py,tests/unit/json_corpus.h)' \
	    'tools/gen_anchors --check' \
	    $(EXAMPLES:%='test -x %') $(MANUALS:%='test -x %') \
	    '$(threads)' \
	    --cmocka $(UNIT_SANITIZED) \
	    $(SECRETS:%='valgrind -q %') \
	    --counts tests/options.py tests/honesty.py \
	    'build/moto/bin/python tests/chain.py' \
	    --alone tests/harness_test.py tests/examples_test.py \
	    tests/cli_test.py \
	    --together --cmocka $(CONFORMANCE:%='$(on_dynoxide) %') \
	    $(patsubst %,'$(on_dynalite) %',\
	        $(filter-out $(SLOW_PROGRAMS),$(CONFORMANCE))) \
	    'tests/sources.py -- build/sources/sources' \
	    'tests/sources.py --server moto -- build/sources/moto'

# Every fault and every cut on the second server, too: three minutes more.
faults: setup $(SLOW_PROGRAMS) ## faults and cuts of connections against dynalite
	@tests/run.py --together --cmocka $(SLOW_PROGRAMS:%='$(on_dynalite) %')

on_dynoxide = tests/harness.py --server dynoxide --
on_dynalite = tests/harness.py --server dynalite --
SLOW_PROGRAMS = build/conformance/faults build/conformance/cuts

# make test has them under sanitizers, which see other things.
memory: setup ## unit tests as they are, under valgrind
	-@$(MAKE) --no-print-directory -k -j2 -O $(UNIT_PLAIN)
	@tests/run.py --together --cmocka $(UNIT_PLAIN:%='$(memcheck) %')

memcheck = valgrind -q --leak-check=full --error-exitcode=99 \
    --suppressions=tests/memory/heap.supp

programs: build/simulate build/model_pipe $(UNIT_SANITIZED) \
    $(CONFORMANCE) $(CONTENDER) $(FUZZERS) $(EXAMPLES) $(MANUALS) $(THREADS) \
    $(SOURCES) $(SECRETS) build/dynalock

RUNS = 300
SEED = 1
DEVICES = 0# 0: 2 to 6, as the seed has it

WORLD =# of --world; none: as the seed has it

simulate: setup build/simulate ## a fleet and its network in one program [2]
	@build/simulate --runs $(RUNS) --seed $(SEED) --devices $(DEVICES) \
	    $(WORLD:%=--world %) $(TRACE:%=--trace) --figures

# What make test simulates: mixtures, many devices, and the worlds that no
# mixture has. Colons stand for spaces.
SIMULATED = --runs:150:--seed:1 --runs:1:--devices:200 \
    --world:crowd:--runs:1 --world:calm:--runs:20 --world:edge:--runs:10 \
    --world:edge,tick:--runs:10 --world:short,crash:--runs:20 \
    --world:weak,loss,repeat,crash:--runs:20 \
    --world:beyond,loss,delay:--runs:20 --world:operator,loss,delay:--runs:20 \
    --world:group,operator,loss,delay:--runs:10 \
    --world:group,loss,delay,repeat,crash,pause,throttle:--runs:30 \
    $(OTHERS:%=--world:%:--runs:25) --world:dynalock-py,calm:--runs:10 \
    --world:dynalock-go,calm:--runs:10 \
    --world:credentials:--runs:6 \
    --world:credentials,loss,delay,throttle,many:--runs:4

# Who else locks on the table; without more each of these is a mixture.
OTHERS = dynamolock dynalock-py dlm dlm1 dynalock-go

contend: setup $(CONTENDER) ## four processes, killed and stopped, want one lock [3]
	@tests/conformance/contend.py --seconds $(SECONDS) --server $(SERVER)

SECONDS = 60
SERVER = dynoxide

fuzz: setup ## search for bytes from outside that break a promise [5]
	@tests/setup.sh fuzz
	@$(MAKE) --no-print-directory -k -j2 $(TARGET:%=$(built_for_$(ENGINE))/%)
	@tests/fuzz.sh $(ENGINE) $(SECONDS) $(TARGET)

TARGET = $(FUZZ)
ENGINE = libfuzzer
built_for_libfuzzer = build/fuzz
built_for_afl = build/afl

mutants: setup ## plant faults in dynalock.h: the simulator must notice
	@tests/mutants.py

cli: ## the command dynalock, in build/; STATIC=1: with musl, of itself
	@tests/setup.sh $(if $(STATIC),static,command)
	@$(MAKE) --no-print-directory $(COMMAND)

COMMAND = $(if $(STATIC),build/static/dynalock,build/dynalock)
PREFIX = /usr/local
INTO = $(DESTDIR)$(PREFIX)

install: cli ## the command, its manual and its completion [PREFIX, DESTDIR]
	@install -d $(INTO)/bin $(INTO)/share/man/man1 \
	    $(INTO)/share/bash-completion/completions
	@install $(COMMAND) $(INTO)/bin/dynalock
	@install -m 644 examples/dynalock/dynalock.1 $(INTO)/share/man/man1
	@install -m 644 examples/dynalock/completion.bash \
	    $(INTO)/share/bash-completion/completions/dynalock

interop: ## contend with other libraries, for real [4]
	@tests/setup.sh interop$(if $(GO),-go)
	@$(MAKE) --no-print-directory build/interop/device
	@mkdir -p build/interop/classes
	@javac -cp 'build/interop/java/*' -d build/interop/classes \
	    tests/interop/JavaSide.java
	@tests/interop.py

footprint: setup ## the command, static: its size and memory, and all its tests
	@$(MAKE) --no-print-directory cli STATIC=1
	@tests/cli_test.py --program build/static/dynalock

firmware: ## the library as firmware on emulated boards [1]
	@tests/setup.sh firmware
	@tests/pki.sh
	@$(MAKE) --no-print-directory build/examples/demo_device
	@$(MAKE) --no-print-directory -f tests/firmware/Makefile
	@tests/firmware.py $(FIGURES)

coverage: setup ## lines and branches of dynalock.h that the tests reach
	@rm -rf build/coverage
	@$(MAKE) --no-print-directory -j2 $(COVERED_UNIT) $(COVERED_PROGRAMS)
	@tests/run.py \
	    $(foreach set,$(COVERED_WORLDS),\
	        'build/coverage/simulate $(subst :, ,$(set))') \
	    $(foreach target,$(FUZZ),'build/coverage/replay/$(target) \
	        tests/fuzz/corpus/$(target)') \
	    --cmocka $(COVERED_UNIT) \
	    --together $(COVERED_CONFORMANCE:%='$(on_dynoxide) %') \
	    'tests/sources.py -- build/coverage/sources/sources' \
	    'tests/sources.py --server moto -- build/coverage/sources/moto'
	@tests/coverage.py

COVERED_UNIT = $(UNIT:%=build/coverage/unit/%)
COVERED_CONFORMANCE = $(CONFORMANCE:build/%=build/coverage/%)
COVERED_PROGRAMS = build/coverage/simulate $(COVERED_CONFORMANCE) \
    $(SOURCES:build/%=build/coverage/%) $(FUZZ:%=build/coverage/replay/%)

# Slower without optimisation, and nothing new comes after so many runs.
COVERED_WORLDS = $(SIMULATED:--runs:150%=--runs:40%)

portability: ## unit tests and simulation for other processors
	@tests/setup.sh portability
	@$(MAKE) --no-print-directory -f tests/portability/Makefile -j2 run

lint: setup build/include/jsmn.h build/firmware/anchors.h ## warnings, layout, symbols, lengths
	@tests/lint.py

static: ## what analysers find without running anything
	@tests/setup.sh analysis
	@$(MAKE) --no-print-directory build/static/include/jsmn.h
	@tests/static.py $(if $(UPDATE),--update)

vectors: setup ## write what is generated anew: vectors, corpus, roots
	tools/gen_vectors tests/vectors.h
	tests/gen_json_corpus.py tests/unit/json_corpus.h
	tools/gen_anchors

# Does generator $(1) still write $(2), byte for byte?
same = $(1) build/$(notdir $(2)) && cmp build/$(notdir $(2)) $(2)

FIGURES = $(if $(UPDATE),--update) $(if $(CHECK),--check)

sizes: setup build/include/jsmn.h ## flash, memory and stack on small processors [1]
	@tests/setup.sh sizes
	@$(MAKE) --no-print-directory -f tests/sizes/Makefile -j2
	@tests/sizes.py $(FIGURES)

bench: setup $(BENCH) ## time, bytes, capacity units and growth [1]
	@tests/bench.py $(FIGURES)
	@tests/capacity.py $(FIGURES)
	@tests/growth.py $(FIGURES)

clean: ## remove what was built, but not what was downloaded
	rm -rf $(filter-out build/npm build/sources build/suites,$(wildcard build/*))

# ---- programs ----

# $(1): compiler and flags, $(2): libraries. What an earlier build left must
# not pass for what does not build any more.
compile = @mkdir -p $(@D) && rm -f $@ && $(1) -I. $< -o $@ $(2)

# The TLS tests take the whole of dynalock.h, the other unit tests what a
# board without BearSSL has.
without_tls = $(if $(filter test_tls%,$*),,-DDYNALOCK_NO_TLS)
test_libraries = -Wl,--as-needed -lcmocka -lbearssl

build/unit/%: tests/unit/%.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS) $(without_tls),$(test_libraries))

build/sanitized/%: tests/unit/%.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS) $(without_tls) $(SANITIZE),$(test_libraries))

# The calls of the operating system that its port makes are the test's.
WRAPPED = getaddrinfo freeaddrinfo socket fcntl setsockopt getsockopt connect \
    poll send recv clock_gettime open read close
build/unit/test_posix build/sanitized/test_posix \
    build/coverage/unit/test_posix: \
    test_libraries += $(WRAPPED:%=-Wl,--wrap=%)

build/sources/%: tests/sources/%.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS) $(SANITIZE),$(test_libraries))

build/secrets/%: tests/memory/secrets.c $(HEADERS)
	$(call compile,$(subst -, -,$*) $(filter-out -O%,$(CFLAGS)) -gdwarf-4,\
	    $(test_libraries))

build/conformance/%: tests/conformance/%.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS),$(test_libraries))

build/simulate: $(wildcard tests/simulation/*.c) $(HEADERS)
	@mkdir -p $(@D) && rm -f $@
	@$(CC) $(CFLAGS) -O2 -I. $(filter %.c,$^) -o $@ -lcjson -lcrypto

build/model_pipe: tests/honesty/model_pipe.c $(MODEL:%=tests/simulation/%.c) \
    $(HEADERS)
	@mkdir -p $(@D) && rm -f $@
	@$(CC) $(CFLAGS) $(filter %.c,$^) -o $@ -lcjson -lcrypto

build/examples/%: examples/%.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS),-lbearssl -pthread)

# ---- the command ----

CLI = $(wildcard examples/dynalock/*.c)
CLI_HEADERS = $(wildcard examples/dynalock/*.h) dynalock.h
CLI_FLAGS = -std=c99 -D_DEFAULT_SOURCE= -Wall -Wextra -Os -I. \
    -ffunction-sections -fdata-sections -Wl,--gc-sections

build/dynalock: $(CLI) $(CLI_HEADERS)
	@mkdir -p $(@D) && rm -f $@
	@$(CC) $(CLI_FLAGS) -g $(CLI) -lbearssl -o $@

# musl, and BearSSL from its sources: nothing of the host's libraries.
BEARSSL = build/sources/bearssl
STATIC_FLAGS = $(CLI_FLAGS) -static -s -fno-asynchronous-unwind-tables \
    -Wl,-z,noseparate-code,--build-id=none

build/static/dynalock: $(CLI) $(CLI_HEADERS) build/static/bearssl.a \
    build/include/jsmn.h
	@rm -f $@
	@musl-gcc $(STATIC_FLAGS) -isystem build/include $(CLI) \
	    build/static/bearssl.a -o $@

build/sources/versions:
	@tests/setup.sh static

build/static/bearssl.a: build/sources/versions
	@mkdir -p build/static/bearssl && rm -f $@
	@cd build/static/bearssl && musl-gcc -Os -ffunction-sections \
	    -fdata-sections -fno-asynchronous-unwind-tables \
	    -I../../sources/bearssl/src -I../../sources/bearssl/inc \
	    -c ../../sources/bearssl/src/*.c ../../sources/bearssl/src/*/*.c
	@ar rcs $@ build/static/bearssl/*.o

build/tsan/%: examples/%.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS) -fsanitize=thread,-lbearssl -pthread)

# The example with threads runs under ThreadSanitizer, over TLS.
threads = tests/harness.py -- sh -c \
    "exec $(THREADS) 3 \$$DYNALOCK_TEST_HTTPS \$$DYNALOCK_TEST_CA"

build/interop/device: tests/interop/device.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS) -DDYNALOCK_NO_TLS $(SANITIZE))

# Without optimisation: a branch is then one condition of the source.
COVERED_FLAGS = $(CFLAGS) -O0 --coverage

build/coverage/unit/%: tests/unit/%.c $(HEADERS)
	$(call compile,$(CC) $(COVERED_FLAGS) $(without_tls),$(test_libraries))

build/coverage/%: tests/%.c $(HEADERS)
	$(call compile,$(CC) $(COVERED_FLAGS),$(test_libraries))

build/coverage/replay/%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(HEADERS) \
    $(TABLE)
	$(call compile,$(CC) $(COVERED_FLAGS),\
	    tests/fuzz/replay.c $(TABLE) $(fuzz_libraries))

build/coverage/simulate: $(wildcard tests/simulation/*.c) $(HEADERS)
	@mkdir -p $(@D) && rm -f $@
	@$(CC) $(COVERED_FLAGS) -I. $(filter %.c,$^) -o $@ -lcjson -lcrypto

build/bench/%: tests/bench/%.c $(HEADERS)
	$(call compile,$(CC) $(CFLAGS) -O2,-Wl$(comma)--as-needed -lbearssl)

build/bench/growth: tests/bench/growth.c $(MODEL:%=tests/simulation/%.c) \
    $(HEADERS)
	@mkdir -p $(@D) && rm -f $@
	@$(CC) $(CFLAGS) -O2 -I. $(filter %.c,$^) -o $@ -lcjson -lcrypto

comma = ,

# ---- fuzzing ----

# The simulator's table is the other end; it is not what is searched.
TABLE = $(MODEL:%=tests/simulation/%.c)
fuzz_libraries = -Wl,--as-needed -lcjson -lcrypto -lbearssl
fuzzed = $(CFLAGS) $(SANITIZE) -fsanitize=fuzzer

build/table.a: $(TABLE) $(HEADERS)
	@mkdir -p build/table && rm -f $@
	@for part in $(MODEL); do $(CLANG) $(CFLAGS) $(SANITIZE) -O2 \
	    -c tests/simulation/$$part.c -o build/table/$$part.o || exit; done
	@ar rcs $@ build/table/*.o

build/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/ignore $(HEADERS) build/table.a
	$(call compile,$(CLANG) $(fuzzed) \
	    -fsanitize-coverage-ignorelist=tests/fuzz/ignore,\
	    build/table.a $(fuzz_libraries))

build/afl/%: tests/fuzz/fuzz_%.c tests/fuzz/ignore $(HEADERS) build/table.a
	$(call compile,AFL_QUIET=1 AFL_LLVM_DENYLIST=$(CURDIR)/tests/fuzz/ignore \
	    afl-clang-fast $(fuzzed),build/table.a $(fuzz_libraries))

# Inputs alone, without an engine: for other compilers, and for other flags.
REPLAY_FLAGS = $(SANITIZE)

build/replay/%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(HEADERS) $(TABLE)
	$(call compile,$(CC) $(CFLAGS) $(REPLAY_FLAGS),\
	    tests/fuzz/replay.c $(TABLE) $(fuzz_libraries))

# Each input once: what is found by chance is for make fuzz.
fuzz = build/fuzz/$(target) -runs=0 -artifact_prefix=build/fuzz/$(target)- \
    tests/fuzz/corpus/$(target)
replay = build/replay/http tests/fuzz/corpus/http

# The programs that the manual and README.md show are compiled as they say.
build/manual.c: dynalock.h
	@mkdir -p $(@D)
	@sed -n '/^A PROGRAM THAT WORKS/,/^The table has/s/^    //p' $< >$@

build/readme.c: README.md
	@mkdir -p $(@D)
	@sed -n '/^```c$$/,/^```$$/{/^```$$/q;/^```/!p}' $< >$@

$(MANUALS): %: %.c dynalock.h
	$(call compile,$(CC) -Wall -Wextra,-lbearssl)

build/firmware/anchors.h:
	@tests/setup.sh firmware
	@tests/pki.sh
	@$(MAKE) --no-print-directory -f examples/firmware/Makefile $@

# Frama-C brings a libc of its own, and must not find the host's.
build/static/include/jsmn.h:
	@mkdir -p $(@D)
	@cp /usr/include/jsmn.h $@

# Headers for cross compilers: with all of /usr/include they would find the
# host's libc. jsmn.h comes last and stands for all.
build/include/jsmn.h: | setup
	@mkdir -p $(@D)
	@cp -r /usr/include/bearssl.h /usr/include/bearssl $(@D)
	@cp /usr/include/jsmn.h $@
