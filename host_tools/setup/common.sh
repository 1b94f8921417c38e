# What several stages use: messages, packages of the system, MicroPython's version.

say() { echo "setup: $*" >&2; }

# fail TEXT: end the set-up with one line, from inside a build() too (its stderr is the log).
fail() {
    if { true >&3; } 2>/dev/null; then
        echo "setup: $*" >&3
        exit 90
    fi
    echo "setup: $*" >&2
    exit 1
}

# The line of a log that says most: the first error of a compiler, pip or apt, else the last line.
telling_line() {
    local line
    line=$(grep -m 1 -iE '(^|[^a-z])([a-z]*error|fatal|E): ' "$1") ||
        line=$(grep -v '^[[:space:]]*$' "$1" | tail -n 1) || line='failed without a message'
    echo "$line"
}

# lacks THING...: Debian's packages for what is not on this machine. A thing is COMMAND=PACKAGE or
# one of the names below.
lacks() {
    local thing
    for thing in "$@"; do
        case $thing in
            *=*) command -v "${thing%%=*}" >/dev/null || echo "${thing#*=}" ;;
            # apt's gcc alone comes without the C library's headers
            c) has_c_library || printf '%s\n' gcc libc6-dev ;;
            c++) has_cpp_library || echo g++ ;;
            arm) arm_library libc.a || printf '%s\n' gcc-arm-none-eabi libnewlib-arm-none-eabi ;;
            arm-c++) arm_library libstdc++.a || printf '%s\n' gcc-arm-none-eabi \
                libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib ;;
            # headers alone: see stages/qemu_rv32.sh
            newlib) [ -e /usr/include/newlib/string.h ] || echo libnewlib-dev ;;
            riscv) command -v riscv64-unknown-elf-gcc >/dev/null || echo gcc-riscv64-unknown-elf ;;
            # Debian leaves ensurepip, which venv needs, to a package of its own
            venv) find_python >/dev/null || printf '%s\n' python3 python3-venv ;;
            apt-lists) has_apt_lists || echo apt-lists ;;
            *) fail "no test for $thing" ;;
        esac
    done | sort -u
}

# apt_install PACKAGE...: by apt, as root or by sudo; "apt-lists" is not a package.
apt_install() {
    local packages=() package command log=$BUILD/log/apt.log as_root=()
    for package in "$@"; do [ "$package" = apt-lists ] || packages+=("$package"); done
    command=update
    [ ${#packages[@]} = 0 ] ||
        command="update && apt-get install -y --no-install-recommends ${packages[*]}"
    command -v apt-get >/dev/null || fail "missing on this machine: ${packages[*]} (Debian's names)"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "as root, run: apt-get $command"
        as_root=(sudo)
    fi
    say "installing by apt: ${packages[*]:-its lists}"
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
    # One dead package list must not stop us: what matters is whether the install works.
    "${as_root[@]}" update -qq >"$log" 2>&1 || true
    [ ${#packages[@]} = 0 ] ||
        "${as_root[@]}" install -y -qq --no-install-recommends "${packages[@]}" >>"$log" 2>&1 ||
        fail "apt: $(telling_line "$log") (log: ${log#"$ROOT"/}); as root, run: apt-get $command"
}

has_apt_lists() {
    ! command -v apt-get >/dev/null || [ -n "$(apt-get indextargets 'Created-By: Packages')" ]
}

# A Python that makes environments: PYTHON, or the system's.
find_python() {
    local python needed='import ensurepip, sys; assert sys.version_info >= (3, 11)'
    for python in "$PYTHON" /usr/bin/python3; do
        if "$python" -c "$needed" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    return 1
}

# This machine's C and C++ compilers with their libraries.
has_c_library() { echo '#include <stdio.h>' | gcc -E - >/dev/null 2>&1; }
has_cpp_library() { echo '#include <vector>' | g++ -x c++ -E - >/dev/null 2>&1; }

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

QEMU_BOARDS=$ROOT/host_tools/priot/emulator/boards

# The inputs of MicroPython for a board of QEMU: build_qemu_board's.
qemu_board_inputs() {
    find "$QEMU_BOARDS/$1" "$QEMU_BOARDS"/{common.mk,cortex_m,modules} -type f | sort | xargs cat
}

# build_qemu_board BOARD FOLDER: MicroPython for a board of QEMU, as build/FOLDER/firmware.elf.
build_qemu_board() {
    local board=$QEMU_BOARDS/$1
    export_micropython_version
    rm -rf "${BUILD:?}/$2"   # changed options do not make the makefile compile again
    empty_micropython_lib
    make -C build/micropython/ports/qemu -j"$JOBS" BOARD="$1" BOARD_DIR="$board" \
        BUILD="$BUILD/$2" FROZEN_MANIFEST="$board/manifest.py" MPY_LIB_DIR="$BUILD/micropython-lib"
}
