# build/qemu/firmware.elf: MicroPython for QEMU with Cortex-M0+ code, and QEMU itself.
NEEDS="sources mpy_cross"
INPUTS="$(qemu_board_inputs MPS2_M0PLUS)"
OUTPUTS="build/qemu/firmware.elf"
SYSTEM="make=make qemu-system-arm=qemu-system-arm python3=python3 arm"

build() { build_qemu_board MPS2_M0PLUS qemu; }
