# What several stages use: messages, packages of the system, MicroPython's version.

say() { echo "setup: $*" >&2; }

# fail TEXT: end the set-up with one line, from inside a build() too (its stderr is the log).
fail() {
    if { true >&3; } 2>/dev/null; then echo "setup: $*" >&3; else echo "setup: $*" >&2; fi
    exit 90
}

# The line of a log that says most: the first error of a compiler, pip or apt, else the last line.
telling_line() {
    local line
    line=$(grep -m 1 -iE '(^|[^a-z])([a-z]*error|fatal|E): ' "$1") ||
        line=$(grep -v '^[[:space:]]*$' "$1" | tail -n 1) || line='failed without a message'
    echo "$line"
}

# apt_install PACKAGE...: by apt, where there is one, asking for rights only when not root.
apt_install() {
    command -v apt-get >/dev/null || fail "missing on this machine: $* (Debian's names)"
    say "installing by apt: $*" 2>&3
    # One dead package list must not stop us: what matters is whether the install works.
    apt_as_root update -qq || true
    apt_as_root install -y -qq --no-install-recommends "$@" || fail "apt-get install $* failed"
}

apt_as_root() {
    local command=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 "$@")
    if [ "$(id -u)" = 0 ]; then
        "${command[@]}"
    else
        command -v sudo >/dev/null || fail "as root, run: apt-get $*"
        sudo "${command[@]}"
    fi
}

# require COMMAND=PACKAGE...: install the packages whose command is not there; apt is not even
# started when nothing is missing.
require() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    if [ ${#missing[@]} = 0 ]; then return; fi
    apt_install "${missing[@]}"
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || fail "no ${pair%%=*} after installing ${pair#*=}"
    done
}

# This machine's C compiler and C library; apt's gcc alone comes without the library's headers.
require_gcc() {
    require make=make
    if ! has_c_library; then
        apt_install gcc libc6-dev
        has_c_library || fail "gcc finds no stdio.h"
    fi
}

has_c_library() { echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1; }

# The C compiler for the Cortex-M0+, with its C library (and C++'s, which the firmware links).
require_arm_gcc() {
    local packages=(gcc-arm-none-eabi libnewlib-arm-none-eabi) library=libc.a
    if [ "${1:-}" = c++ ]; then
        packages+=(libstdc++-arm-none-eabi-newlib)
        library=libstdc++.a
    fi
    if ! arm_library $library; then
        apt_install "${packages[@]}"
        arm_library $library || fail "arm-none-eabi-gcc has no $library"
    fi
}

# gcc answers with the bare name when it does not find the file.
arm_library() {
    command -v arm-none-eabi-gcc >/dev/null &&
        [ "$(arm-none-eabi-gcc -mcpu=cortex-m0plus -mthumb -print-file-name="$1")" != "$1" ]
}

# Sources that are not a git checkout would take their version from the repository around them.
export_micropython_version() {
    local header=$BUILD/micropython/py/mpconfig.h part version=v
    [ ! -e "$BUILD/micropython/.git" ] || return 0
    for part in MAJOR MINOR MICRO; do
        version+=$(sed -n "s/^#define MICROPY_VERSION_$part //p" "$header").
    done
    export MICROPY_GIT_TAG=${version%.} MICROPY_GIT_HASH=${version%.}
    export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1744675200}   # the same sources, the same bytes
}

# MicroPython's builds want a micropython-lib; the manifests of this project use nothing of it.
empty_micropython_lib() {
    mkdir -p "$BUILD/micropython-lib"
    echo "Stands for micropython-lib, of which nothing is used." >"$BUILD/micropython-lib/README.md"
}
