# build/firmware/RPI_PICO.uf2: the Pico's firmware; PICO_UF2 where the user has one, else built.
NEEDS="sources mpy_cross"
INPUTS="$PICO_UF2 $([ -z "$PICO_UF2" ] || sha256sum "$PICO_UF2" 2>/dev/null || true) $(cat "$HERE/rp2.sh")"
OUTPUTS="build/firmware/RPI_PICO.uf2"
if [ -z "$PICO_UF2" ]; then
    SYSTEM="cmake=cmake ninja=ninja-build python3=python3 c c++ arm-c++"
    [ -n "$MPY_DIR$PRIOT_MICROPYTHON_GIT" ] || SYSTEM+=" xz=xz-utils bzip2=bzip2 apt-lists"
fi

build() {
    source "$HERE/rp2.sh"
    mkdir -p build/firmware
    if [ -n "$PICO_UF2" ]; then
        [ -f "$PICO_UF2" ] || fail "firmware: PICO_UF2=$PICO_UF2: no such file"
        cp "$PICO_UF2" build/firmware/RPI_PICO.uf2
        return
    fi
    build_rp2 RPI_PICO rp2
    [ -f build/rp2/firmware.uf2 ] ||
        python3 "$HERE/bin2uf2.py" build/rp2/firmware.bin build/rp2/firmware.uf2
    cp build/rp2/firmware.uf2 build/firmware/RPI_PICO.uf2
}
