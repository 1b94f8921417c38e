# As much heap as is free on a Pico after start-up, and what the modules here need.
MICROPY_HEAP_SIZE ?= 241600
MICROPY_VFS_LFS1 = 1
FROZEN_MANIFEST ?= $(BOARD_DIR)/manifest.py
