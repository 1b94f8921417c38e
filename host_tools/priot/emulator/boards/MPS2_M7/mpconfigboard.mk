# MicroPython for a Cortex-M7 with double precision, as on STM32F7, STM32H7 and i.MX RT boards.
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an500
CFLAGS += -mthumb -mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard
CFLAGS += -DQEMU_SOC_MPS2 -DMICROPY_HW_MCU_NAME='"Cortex-M7"'
LDSCRIPT = mcu/arm/mps2.ld
include $(BOARD_DIR)/../cortex_m/fpu.mk
MPY_CROSS_FLAGS += -march=armv7emdp
include $(BOARD_DIR)/../common.mk
