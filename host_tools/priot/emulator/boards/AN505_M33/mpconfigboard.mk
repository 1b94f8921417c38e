# MicroPython for a Cortex-M33 with the options that a Pico 2 (RP2350) is built with.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an505
CFLAGS += -mthumb -mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=softfp
CFLAGS += -DQEMU_SOC_AN505 -DMICROPY_HW_MCU_NAME='"Cortex-M33"'
AFLAGS += -mcpu=cortex-m33
LDSCRIPT = $(BOARD_DIR)/board.ld
include $(BOARD_DIR)/../cortex_m/fpu.mk
vpath %.c $(BOARD_DIR)
SRC_BOARD_O += an505_uart.o
MPY_CROSS_FLAGS += -march=armv7emsp
include $(BOARD_DIR)/../common.mk
