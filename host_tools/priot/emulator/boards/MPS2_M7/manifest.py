# What this board's firmware has built in: time, and a file system in memory.
freeze("$(BOARD_DIR)/../modules")
freeze("$(BOARD_DIR)/../MPS2_M0PLUS/modules")
