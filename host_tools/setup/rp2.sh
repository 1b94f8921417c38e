# MicroPython's firmware for boards of Raspberry Pi, from sources.

# build_rp2 BOARD FOLDER: the firmware of a board, in build/FOLDER.
build_rp2() {
    if [ -e build/micropython/.git ]; then
        make -C build/micropython/ports/rp2 BOARD="$1" submodules
        configure_and_make "$@"
    else
        [ -e build/micropython/lib/pico-sdk/pico_sdk_init.cmake ] || add_libraries
        empty_micropython_lib
        configure_and_make "$@" -DMICROPY_LIB_DIR="$BUILD/micropython-lib" \
            -DMICROPY_FROZEN_MANIFEST="$HERE/manifest_rp2.py"
    fi
}

configure_and_make() {
    local board=$1 folder=$2 port=$BUILD/micropython/ports/rp2
    shift 2
    export_micropython_version
    rm -rf "build/$folder"
    cmake -S "$port" -B "build/$folder" -G Ninja -DPICO_BUILD_DOCS=0 -DPICO_NO_PICOTOOL=1 \
        -DMICROPY_BOARD="$board" -DMICROPY_BOARD_DIR="$port/boards/$board" "$@"
    ninja -C "build/$folder" -j "$JOBS"
}

# Debian's MicroPython source comes without the libraries that Debian has as packages of their own.
add_libraries() {
    local lib=$BUILD/micropython/lib packages=$BUILD/micropython-packages
    source "$HERE/debian.sh"
    apt_private_update
    fetch_package pico-sdk-source "$packages"
    fetch_package tinyusb-source "$packages"
    fetch_source mbedtls "$lib/mbedtls"
    rm -rf "$lib"/{pico-sdk,tinyusb}
    ln -s "$packages/usr/src/tinyusb" "$lib/tinyusb"
    ln -s "$packages/usr/src/pico-sdk" "$lib/pico-sdk"
}
