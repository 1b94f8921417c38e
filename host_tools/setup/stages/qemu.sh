# build/qemu/firmware.elf: MicroPython for QEMU with Cortex-M0+ code, and QEMU itself.
NEEDS="sources mpy_cross"
BOARD=$ROOT/host_tools/priot/emulator/boards/MPS2_M0PLUS
INPUTS="$(find "$BOARD" -type f | sort | xargs cat)"
OUTPUTS="build/qemu/firmware.elf"
SYSTEM="make=make qemu-system-arm=qemu-system-arm python3=python3 arm"

build() {
    export_micropython_version
    rm -rf build/qemu   # changed options do not make the makefile compile again
    empty_micropython_lib
    make -C build/micropython/ports/qemu -j"$JOBS" BOARD=MPS2_M0PLUS BOARD_DIR="$BOARD" \
        BUILD="$BUILD/qemu" FROZEN_MANIFEST="$BOARD/manifest.py" MPY_LIB_DIR="$BUILD/micropython-lib"
}
