# build/qemu-m33/firmware.elf: MicroPython for QEMU with a Cortex-M33, as a Pico 2 has.
NEEDS="sources mpy_cross"
INPUTS="$(qemu_board_inputs AN505_M33)"
OUTPUTS="build/qemu-m33/firmware.elf"
SYSTEM="make=make qemu-system-arm=qemu-system-arm python3=python3 arm"

build() { build_qemu_board AN505_M33 qemu-m33; }
