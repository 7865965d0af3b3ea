# shellcheck shell=bash
# ./dev package: a Debian package of what is checked out, in build-package/. The same sources give the same bytes: what
# varies is fixed (time of the last commit, names, order), and what the build depends on is in creditledger_*.buildinfo.

# package_sources DIRECTORY: a source tree for dpkg-buildpackage, with Swagger UI, which is not committed.
package_sources() {
    local tree=$1 version stamp
    rm -rf "$tree"
    mkdir -p "$tree"
    git ls-files -co --exclude-standard -z -- . ':!tests' ':!.ci' |
        while IFS= read -r -d '' file; do [ -f "$file" ] && printf '%s\0' "$file"; done |
        xargs -0 cp --parents -t "$tree"
    if [ -d api/ui/node_modules/swagger-ui-dist ]; then
        mkdir -p "$tree/api/ui/node_modules"
        cp -r api/ui/node_modules/swagger-ui-dist "$tree/api/ui/node_modules/"
    fi
    cp -r deploy/debian "$tree/debian"
    version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
    stamp=$(git log -1 --format=%ct)
    cat >"$tree/debian/changelog" <<END
creditledger ($version) stable; urgency=medium

  * Built from commit $(git log -1 --format=%h).

 -- Credit Ledger maintainers <maintainers@creditledger.dev>  $(LC_ALL=C date -u -R -d "@$stamp")
END
}

# verb_package [DIRECTORY]: packages and buildinfo go there.
verb_package() {
    local out=${1:-build-package} log
    case $out in -*) die "package takes a directory, not $out" ;; esac
    need_packages "${BUILD_PACKAGES[@]}" "${DEBIAN_PACKAGES[@]}"
    fetch_ui
    mkdir -p "$out"
    out=$(cd "$out" && pwd)
    package_sources "$out/creditledger"
    log=$out/build.log
    say "building the package"
    rm -f "$out"/creditledger*.deb "$out"/creditledger_*.buildinfo "$out"/creditledger_*.changes
    # -d: what it needs was installed above, on a distribution that may call it otherwise.
    (cd "$out/creditledger" && DEB_BUILD_OPTIONS="parallel=$(nproc)" dpkg-buildpackage -b -us -uc -d) >"$log" 2>&1 ||
        { tail -n 40 "$log" >&2 && die "the package does not build; all of it is in $log"; }
    rm -rf "$out/creditledger"
    say "built $(cd "$out" && ls creditledger_*.deb) in $out"
}
