# shellcheck shell=bash
# ./dev test: builds the variants, runs what each has, and counts every test once: the last line is the sum.

# run_variant NAME DIRECTORY MESON-TEST-OPTION... -- PATTERN...: results go to build-results/NAME.json
run_variant() {
    local name=$1 directory=$2
    shift 2
    say "testing: $name"
    local log=$directory/meson-logs/testlog.json options=() names=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    if [ $# -gt 1 ]; then
        mapfile -t names < <(matching "$directory" "${@:2}")
        [ ${#names[@]} -gt 0 ] || return 0
    fi
    rm -f "$log"
    ${run_under[@]+"${run_under[@]}"} meson test -C "$directory" --no-rebuild --num-processes "$(nproc)" \
        --print-errorlogs "${options[@]}" ${names[@]+"${names[@]}"} >&2 || true
    # A variant that leaves no results has not passed.
    cp "$log" "build-results/$name.json" || printf 'FAIL %s: no results\n' "$name" >>build-results/extra.txt
}

# The names of a directory's tests that fit one of the patterns; meson itself knows whole names only.
matching() {
    local directory=$1 name pattern
    shift
    meson introspect "$directory" --tests | python3 -c 'import json, sys; [print(t["name"]) for t in json.load(sys.stdin)]' |
        while read -r name; do
            for pattern in "$@"; do
                # shellcheck disable=SC2053 # a pattern is meant
                [[ $name == $pattern ]] && printf '%s\n' "$name" && break
            done
        done
}

# build_variant NAME DIRECTORY MESON-OPTION...: a variant that does not build counts as one failure.
build_variant() {
    local name=$1 directory=$2
    shift 2
    say "building: $name"
    if configure "$directory" "$@" && compile "$directory"; then
        return 0
    fi
    printf 'FAIL %s: does not build\n' "$name" >>build-results/extra.txt
    return 1
}

# Tools that tests measure us against, from PyPI, in an environment of their own. Without them those tests are skipped.
prepare_python() {
    local venv=build-tools/venv
    if [ ! -f $venv/.ready ] || [ tests/requirements.txt -nt $venv/.ready ]; then
        rm -rf $venv
        if python3 -m venv $venv >&2 && $venv/bin/pip install -q -r tests/requirements.txt >&2; then
            touch $venv/.ready
        else
            say "The validators of OpenAPI and JSON Schema, a Kafka client and beancount could not be installed; their tests will be skipped."
        fi
    fi
    if [ -x $venv/bin/bean-check ]; then
        export BEAN_CHECK=$PWD/$venv/bin/bean-check
    fi
}

# AsyncAPI's own parser, from npm, checked against the hashes of its package-lock.json.
prepare_asyncapi() {
    local directory=build-tools/asyncapi
    if [ -f $directory/.ready ] && [ ! tests/contract/asyncapi/package-lock.json -nt $directory/.ready ]; then
        return 0
    fi
    mkdir -p $directory && cp tests/contract/asyncapi/package*.json $directory
    command -v npm >/dev/null || try_packages npm || true
    if command -v npm >/dev/null && (cd $directory && npm ci --ignore-scripts --loglevel=error >&2); then
        touch $directory/.ready
    else
        say "AsyncAPI's parser could not be fetched; its test will be skipped."
    fi
}

# Runs this again under a private PostgreSQL, which all tests that break nothing share; it ends with us.
with_postgres() {
    [ -n "${CREDITLEDGER_TEST_POSTGRES-}" ] || exec python3 scripts/postgres.py run -- "$PWD/dev" test "$@"
}

# Fetches Kafka once. The release's tests then run under a private broker, which those that break nothing share; without
# one, they are skipped.
prepare_kafka() {
    under_kafka=()
    if python3 scripts/kafka.py prepare >&2; then
        under_kafka=(python3 scripts/kafka.py run --)
    else
        say "No Kafka from here: the tests that need a broker will be skipped."
    fi
}

verb_test() {
    local quick=0 patterns=()
    for option in "$@"; do
        case $option in
        --quick) quick=1 ;;
        -*) die "test takes --quick and a pattern, not $option" ;;
        *) patterns+=("$option") ;;
        esac
    done
    need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
    with_postgres "$@"
    if [ $quick = 0 ]; then
        try_packages "${BROWSER_PACKAGES[@]}" || say "No Chromium from here: the browser's tests will be skipped."
        try_packages "${DEBIAN_PACKAGES[@]}" "${DEPLOY_PACKAGES[@]}" ||
            say "No packaging tools from here: the tests of the package will be skipped, in part or whole."
    fi
    fetch_ui
    prepare_python
    prepare_asyncapi
    try_prometheus || say "No Prometheus from here: its tests will be skipped."
    local under_kafka=()
    prepare_kafka
    rm -rf build-results
    mkdir -p build-results
    : >build-results/extra.txt

    local outside=()
    [ $quick = 1 ] && outside=(--no-suite browser --no-suite slow)
    if build_variant release build -Dtests=enabled; then
        local run_under=(${under_kafka[@]+"${under_kafka[@]}"})
        run_variant release build --timeout-multiplier 3 ${outside[@]+"${outside[@]}"} -- ${patterns[@]+"${patterns[@]}"}
    fi
    run_under=()
    if [ $quick = 0 ]; then
        test_sanitized ${patterns[@]+"${patterns[@]}"}
    fi
    if [ $quick = 0 ] && [ ${#patterns[@]} = 0 ]; then
        source scripts/fuzz.sh
        fuzz_in_test
    fi
    python3 scripts/summary.py build-results
}

# The suites `source` (looks at the sources) and `browser` are the same in every variant, `once` takes long and finds little
# more under a sanitizer: they run in release only.
test_sanitized() {
    local once=(--no-suite source --no-suite browser --no-suite once)
    if build_variant asan build-asan -Dtests=enabled -Dbuildtype=debugoptimized -Db_sanitize=address,undefined; then
        run_variant asan build-asan "${once[@]}" --timeout-multiplier 4 -- "$@"
    fi
    # ThreadSanitizer wants its addresses where it expects them; newer kernels spread them wider than it knows.
    local run_under=()
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        run_under=(setarch "$(uname -m)" -R)
    fi
    if build_variant tsan build-tsan -Dtests=enabled -Dbuildtype=debugoptimized -Db_sanitize=thread; then
        TSAN_OPTIONS=halt_on_error=1 run_variant tsan build-tsan "${once[@]}" --timeout-multiplier 8 -- "$@"
    fi
}
