# MicroPython for RISC-V, RV32IMC with atomics, as on ESP32-C3, C6 and a Pico 2 that is started so.
QEMU_ARCH = riscv32
QEMU_MACHINE = virt
CFLAGS += -DQEMU_SOC_VIRT -DMICROPY_HW_MCU_NAME='"$(RV32_ARCH)"'
LDSCRIPT = mcu/rv32/virt.ld
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o
MPY_CROSS_FLAGS += -march=rv32imc
# The compiler alone, without a C library of 1 GB: newlib's headers are those of the Arm compiler,
# and nothing but libgcc is linked. Debian's gcc 12 has that for rv32imac, not for ..._zicsr.
override PICOLIBC_SPECS = picolibc.specs
CFLAGS += -isystem /usr/include/newlib
LIBS = $(shell $(CC) -march=rv32imac -mabi=ilp32 -print-libgcc-file-name)
LDFLAGS += -nostdlib
include $(BOARD_DIR)/../common.mk
