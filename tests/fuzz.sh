#!/bin/sh
# Runs fuzz targets one after another, each on its corpus first:
#
#   tests/fuzz.sh libfuzzer|afl SECONDS TARGET...
#
# They are built already, in build/fuzz or build/afl. What is new is kept below build/found for the
# next run; an input that breaks something is there as well, and its name is printed. For the
# repository: build/fuzz/TARGET -merge=1 tests/fuzz/corpus/TARGET build/found/libfuzzer/TARGET

set -u
cd "$(dirname "$0")/.."

engine=$1
seconds=$2
shift 2
status=0

options() { # TARGET -> its dictionary, as an option
    [ ! -f "tests/fuzz/$1.dict" ] || echo "$2tests/fuzz/$1.dict"
}

run_libfuzzer() { # TARGET
    found=build/found/libfuzzer/$1
    corpus=tests/fuzz/corpus/$1
    mkdir -p "$found"
    {
        "build/fuzz/$1" -runs=0 -artifact_prefix="$found-" "$corpus" &&
            "build/fuzz/$1" -max_total_time="$seconds" -artifact_prefix="$found-" \
                $(options "$1" -dict=) "$found" "$corpus"
    } >"$found.log" 2>&1 || {
        tail -n 40 "$found.log"
        return 1
    }
    grep DONE "$found.log" # inputs so far, edges (cov), features (ft)
}

# Its crashes do not end it.
run_afl() { # TARGET
    found=build/found/afl/$1
    mkdir -p build/found/afl
    AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_AUTORESUME=1 \
        AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
        afl-fuzz -V "$seconds" -m none -t 5000+ -i "tests/fuzz/corpus/$1" -o "$found" \
        $(options "$1" '-x ') -- "build/afl/$1" >"$found.log" 2>&1 || {
        tail -n 20 "$found.log"
        return 1
    }
    grep -E '^(execs_done|edges_found|corpus_count|saved_crashes) ' "$found/default/fuzzer_stats"
    ! ls "$found"/default/crashes/id* 2>/dev/null
}

for target; do
    echo "$target"
    "run_$engine" "$target" || status=1
done
exit $status
