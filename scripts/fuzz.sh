# shellcheck shell=bash
# ./dev fuzz: tests/fuzz/fuzz_*.c with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer. Each target starts from
# tests/fuzz/corpus/TARGET, which holds small interesting inputs and every input that once broke something.

# Clang's runtime libraries are a package of their own, whose version must be clang's.
fuzz_packages() {
    need_packages "${CLANG_PACKAGES[@]}"
    local version
    version=$(clang -dumpversion | cut -d. -f1)
    try_packages "libclang-rt-$version-dev" || true
}

fuzz_build() {
    fuzz_packages
    CC=clang configure build-fuzz -Dtests=disabled -Dfuzzers=true -Dbuildtype=debugoptimized \
        -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link &&
        compile build-fuzz
}

fuzz_targets() {
    local source
    for source in tests/fuzz/fuzz_*.c; do
        [ -f "$source" ] || continue
        source=${source##*/fuzz_}
        printf '%s\n' "${source%.c}"
    done
}

# fuzz_one TARGET SECONDS LOG: new inputs are kept in build-fuzz, a crash is written there.
fuzz_one() {
    local target=$1 seconds=$2 log=$3
    local work=build-fuzz/corpus/$target seeds=tests/fuzz/corpus/$target
    mkdir -p "$work"
    local corpora=("$work")
    [ -d "$seeds" ] && corpora+=("$seeds")
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 build-fuzz/tests/fuzz/fuzz_"$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="build-fuzz/$target-" "${corpora[@]}" >"$log" 2>&1
}

verb_fuzz() {
    local seconds=60 wanted=()
    while [ $# -gt 0 ]; do
        case $1 in
        --seconds) seconds=${2-} && shift ;;
        --seconds=*) seconds=${1#--seconds=} ;;
        -*) die "fuzz takes a target and --seconds N, not $1" ;;
        *) wanted+=("$1") ;;
        esac
        shift
    done
    [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "--seconds wants a whole number, not '$seconds'"
    need_packages "${BUILD_PACKAGES[@]}"
    fuzz_build || die "the fuzz targets do not build"
    [ ${#wanted[@]} -gt 0 ] || mapfile -t wanted < <(fuzz_targets)
    local target failed=0
    for target in "${wanted[@]}"; do
        [ -x "build-fuzz/tests/fuzz/fuzz_$target" ] || die "there is no target '$target'; there are: $(fuzz_targets | tr '\n' ' ')"
        say "fuzzing $target for $seconds s"
        if fuzz_one "$target" "$seconds" "build-fuzz/$target.log"; then
            grep -E 'stat::(number_of_executed_units|average_exec_per_sec)' "build-fuzz/$target.log"
        else
            tail -n 40 "build-fuzz/$target.log"
            failed=1
        fi
    done
    [ $failed = 0 ] || die "a target broke; its input is build-fuzz/TARGET-crash-…: put it into tests/fuzz/corpus/TARGET when mended"
}

# Every target for a few seconds, two at a time: enough to see that it runs and that what was mended stays so.
fuzz_in_test() {
    say "fuzzing in brief"
    if ! fuzz_build; then
        printf 'FAIL fuzz: does not build\n' >>build-results/extra.txt
        return 0
    fi
    local target
    while read -r target; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
        (
            if fuzz_one "$target" "${FUZZ_SECONDS:-5}" "build-fuzz/$target.log"; then
                printf 'PASS fuzz: %s\n' "$target" >>build-results/extra.txt
            else
                tail -n 30 "build-fuzz/$target.log" >&2
                printf 'FAIL fuzz: %s\n' "$target" >>build-results/extra.txt
            fi
        ) &
    done < <(fuzz_targets)
    wait
}
