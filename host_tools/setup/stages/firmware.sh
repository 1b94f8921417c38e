# build/firmware/RPI_PICO.uf2: the Pico's firmware; PICO_UF2 where the user has one, else built.
NEEDS="sources mpy_cross"
INPUTS="$PICO_UF2 $([ -z "$PICO_UF2" ] || sha256sum "$PICO_UF2" 2>/dev/null || true)"
OUTPUTS="build/firmware/RPI_PICO.uf2"
if [ -z "$PICO_UF2" ]; then
    SYSTEM="cmake=cmake ninja=ninja-build python3=python3 c c++ arm-c++"
    [ -n "$MPY_DIR$PRIOT_MICROPYTHON_GIT" ] || SYSTEM+=" xz=xz-utils bzip2=bzip2 apt-lists"
fi

build() {
    mkdir -p build/firmware
    if [ -n "$PICO_UF2" ]; then
        [ -f "$PICO_UF2" ] || fail "firmware: PICO_UF2=$PICO_UF2: no such file"
        cp "$PICO_UF2" build/firmware/RPI_PICO.uf2
        return
    fi
    if [ -e build/micropython/.git ]; then
        make -C build/micropython/ports/rp2 BOARD=RPI_PICO submodules
        configure_and_make
    else
        [ -e build/micropython/lib/pico-sdk/pico_sdk_init.cmake ] || add_libraries
        empty_micropython_lib
        configure_and_make -DMICROPY_LIB_DIR="$BUILD/micropython-lib" \
            -DMICROPY_FROZEN_MANIFEST="$HERE/manifest_rp2.py"
    fi
    [ -f build/rp2/firmware.uf2 ] ||
        python3 "$HERE/bin2uf2.py" build/rp2/firmware.bin build/rp2/firmware.uf2
    cp build/rp2/firmware.uf2 build/firmware/RPI_PICO.uf2
}

configure_and_make() {
    local port=$BUILD/micropython/ports/rp2
    export_micropython_version
    rm -rf build/rp2
    cmake -S "$port" -B build/rp2 -G Ninja -DPICO_BUILD_DOCS=0 -DPICO_NO_PICOTOOL=1 \
        -DMICROPY_BOARD=RPI_PICO -DMICROPY_BOARD_DIR="$port/boards/RPI_PICO" "$@"
    ninja -C build/rp2 -j "$JOBS"
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
