# shellcheck shell=bash
# What the verbs of ./dev need from Debian or Ubuntu, installed only when it is missing.

# shellcheck disable=SC2034 # read by the other scripts
BUILD_PACKAGES=(gcc libc6-dev meson ninja-build pkg-config python3 ca-certificates
    libmicrohttpd-dev libjansson-dev libsqlite3-dev libpq-dev libssl-dev librdkafka-dev libcurl4-openssl-dev)
# PostgreSQL and PgBouncer are for clusters of the tests' own (tests/support/postgres.py); what their packages may start on a
# machine is never used.
# shellcheck disable=SC2034
TEST_PACKAGES=(libcmocka-dev sqlite3 postgresql pgbouncer curl jq hledger util-linux python3-yaml python3-venv
    maven default-jre-headless kcat)
# shellcheck disable=SC2034
BROWSER_PACKAGES=(chromium python3-websocket)
# shellcheck disable=SC2034
CLANG_PACKAGES=(clang llvm)
# shellcheck disable=SC2034
DEBIAN_PACKAGES=(debhelper dpkg-dev po-debconf)
# For the test that installs the package into a clean root.
# shellcheck disable=SC2034
DEPLOY_PACKAGES=(debootstrap lintian systemd zsh)
# shellcheck disable=SC2034
LINT_PACKAGES=(clang-format clang-tidy shellcheck)

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root: install sudo, or run ./dev as root once"
    fi
}

# The names among the arguments that are not installed. A package counts when another provides it under its name.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
    done
}

# Installs what is missing; returns 1 if that fails. The package lists are fetched once a run at most.
try_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} = 0 ] && return 0
    if ! command -v apt-get >/dev/null; then
        printf './dev: needs these packages of Debian or Ubuntu: %s\n' "${missing[*]}" >&2
        return 1
    fi
    say "installing ${missing[*]}"
    if [ -z "${apt_updated-}" ]; then
        as_root apt-get update -q >&2 || printf './dev: apt-get update failed; going on with the lists there are\n' >&2
        apt_updated=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

need_packages() {
    try_packages "$@" || die "cannot go on without: $(missing_packages "$@" | tr '\n' ' ')"
}

# Prometheus and promtool, unpacked into build-tools/ and not installed: the package would start a Prometheus on the machine
# that nobody asked for. One that is installed already serves as well.
try_prometheus() {
    [ -x build-tools/prometheus/usr/bin/prometheus ] && return 0
    command -v prometheus >/dev/null && command -v promtool >/dev/null && return 0
    command -v apt-get >/dev/null || return 1
    say "unpacking prometheus into build-tools/"
    local part
    mkdir -p build-tools
    part=$(mktemp -d build-tools/prometheus-part-XXXXXX)
    if (cd "$part" && { apt-get download -q prometheus || { as_root apt-get update -q && apt-get download -q prometheus; }; } &&
        dpkg-deb -x prometheus_*.deb unpacked) >&2 && mv "$part/unpacked" build-tools/prometheus; then
        rm -rf "$part"
        return 0
    fi
    rm -rf "$part"
    return 1
}
