# MicroPython for a Cortex-M4 with single precision, as on STM32F4, nRF52 and SAMD51 boards.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an386
CFLAGS += -mthumb -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
CFLAGS += -DQEMU_SOC_MPS2 -DMICROPY_HW_MCU_NAME='"Cortex-M4"'
LDSCRIPT = mcu/arm/mps2.ld
include $(BOARD_DIR)/../cortex_m/fpu.mk
MPY_CROSS_FLAGS += -march=armv7emsp
include $(BOARD_DIR)/../common.mk
