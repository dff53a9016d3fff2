#!/usr/bin/env bash
# setup.sh [fuzz|arm64|watching]: installs the Debian packages that are missing of those the build, the tests and the
# demo need; `fuzz` also those of `make fuzz`, `arm64` also those of the cross build (cmake/arm64.cmake). `watching`
# unpacks promtool and amtool into build/watching, for tests/serve/test_promtool.sh: 30 MB to fetch, 140 on disk.
# Installed, their packages would take 375 MB and start two daemons.
set -eu
libraries=(libjansson-dev libpcre2-dev libutf8proc-dev libssl-dev libedit-dev libcmocka-dev)
packages=(make gcc libc6-dev cmake ninja-build pkg-config "${libraries[@]}" libevent-dev python3 python3-pip unzip)
case ${1:-} in
'') ;;
fuzz) packages+=(clang libclang-rt-14-dev llvm) ;;
arm64) packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static "${libraries[@]/%/:arm64}"
    libevent-core-2.1-7:arm64 libevent-openssl-2.1-7:arm64) ;; # cmake/event.cmake says why
watching) ;;
*) echo "setup.sh: \"$1\" is none of fuzz, arm64, watching" >&2; exit 3 ;;
esac
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
install_missing() {
    echo "installing ${missing[*]}"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "please install as root: apt-get install ${missing[*]}" >&2; exit 2; }
        as_root=(sudo)
    fi
    [ "${1:-}" != arm64 ] || "${as_root[@]}" dpkg --add-architecture arm64
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}
unpack_watching() {
    local folder
    folder=$(cd "$(dirname "$0")/.." && pwd)/build/watching
    [ ! -x "$folder/usr/bin/promtool" ] || [ ! -x "$folder/usr/bin/amtool" ] || return 0
    echo "unpacking promtool and amtool into $folder"
    mkdir -p "$folder"
    cd "$folder"
    apt-get download -qq prometheus prometheus-alertmanager
    for package in *.deb; do dpkg -x "$package" . && rm "$package"; done
}
[ ${#missing[@]} -eq 0 ] || install_missing "${1:-}"
[ "${1:-}" != watching ] || unpack_watching
