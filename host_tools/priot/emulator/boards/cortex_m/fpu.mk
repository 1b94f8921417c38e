# Processors with an FPU, which is off after a reset.
vpath %.c $(BOARD_DIR)/../cortex_m
LDFLAGS += -Wl,--wrap=main
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o fpu.o
