# shellcheck shell=bash
# Build directories: build (release), build-asan, build-tsan, build-fuzz.

# Swagger UI, as its publisher put it on the npm registry, checked against the hashes of api/ui/package-lock.json. It is
# not committed. Without it everything works but the page at /api, which then says so; so a failure is not fatal.
fetch_ui() {
    local stamp=api/ui/node_modules/.creditledger
    if [ -f $stamp ] && [ ! api/ui/package-lock.json -nt $stamp ]; then
        return 0
    fi
    # Many small packages: with the build's own in one go if those are missing too.
    command -v npm >/dev/null || try_packages "${BUILD_PACKAGES[@]}" npm || true
    if command -v npm >/dev/null && (cd api/ui && npm ci --loglevel=error >&2); then
        touch $stamp
        ui_fetched=1
    else
        say "Swagger UI could not be fetched: /api will only link to the contract. Run ./dev build again to retry."
    fi
}

# configure DIRECTORY OPTION...: sets the directory up, or changes its options when they are not these.
configure() {
    local directory=$1
    shift
    local wanted="$*"
    if [ ! -f "$directory/build.ninja" ]; then
        rm -rf "$directory"
        meson setup "$directory" "$@" >&2
    elif [ -n "${ui_fetched-}" ] || [ "$wanted" != "$(cat "$directory/.options" 2>/dev/null)" ]; then
        meson setup --reconfigure "$directory" "$@" >&2
    else
        return 0
    fi
    printf '%s\n' "$wanted" >"$directory/.options"
}

# ninja: its progress line on a terminal, nothing but failures elsewhere.
compile() {
    local directory=$1
    shift
    local quiet=(--quiet)
    [ -t 2 ] && quiet=()
    ninja ${quiet[@]+"${quiet[@]}"} -C "$directory" "$@" >&2
}

build_release() {
    fetch_ui
    need_packages "${BUILD_PACKAGES[@]}"
    # Tests are configured by ./dev test; a directory that has them keeps them.
    if [ ! -f build/build.ninja ] || [ -n "${ui_fetched-}" ]; then
        configure build "-Dtests=$(build_has_tests && echo enabled || echo disabled)"
    fi
    compile build creditledger
}

build_has_tests() { [ "$(cat build/.options 2>/dev/null)" = "-Dtests=enabled" ]; }

# The programs under bench/.
build_bench() { compile build bench/floor_sqlite bench/floor_postgres; }
