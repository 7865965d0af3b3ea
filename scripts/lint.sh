# shellcheck shell=bash
# ./dev lint: what a machine can say about the sources. Runs everything, then fails if anything did.

verb_lint() {
    need_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${LINT_PACKAGES[@]}"
    local failed=0
    say "clang-format"
    git ls-files -z -- '*.c' '*.h' | xargs -0 clang-format --dry-run -Werror || failed=1
    say "shellcheck"
    shellcheck -x dev .ci/run scripts/*.sh || failed=1
    say "architecture"
    python3 tests/architecture/rooms.py && python3 tests/architecture/style.py || failed=1
    say "clang-tidy"
    configure build-tidy -Dtests=disabled || failed=1
    # Generated sources first, so that every file compiles.
    compile build-tidy || failed=1
    git ls-files -z -- 'src/*.c' ':!*_test.c' |
        xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p build-tidy --warnings-as-errors='*' 2>/dev/null || failed=1
    [ $failed = 0 ] || die "lint found something"
    say "nothing found"
}
