# build/qemu-m4/firmware.elf: MicroPython for QEMU with a Cortex-M4.
NEEDS="sources mpy_cross"
INPUTS="$(qemu_board_inputs MPS2_M4)"
OUTPUTS="build/qemu-m4/firmware.elf"
SYSTEM="make=make qemu-system-arm=qemu-system-arm python3=python3 arm"

build() { build_qemu_board MPS2_M4 qemu-m4; }
