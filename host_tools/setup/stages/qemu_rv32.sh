# build/qemu-rv32/firmware.elf: MicroPython for QEMU with RISC-V, and QEMU for that.
# The compiler comes without a C library. None is linked: newlib's headers are enough.
NEEDS="sources mpy_cross"
INPUTS="$(qemu_board_inputs VIRT_RV32)"
OUTPUTS="build/qemu-rv32/firmware.elf"
SYSTEM="make=make qemu-system-riscv32=qemu-system-riscv32 python3=python3 riscv newlib"

build() { build_qemu_board VIRT_RV32 qemu-rv32; }
