# What the Pico's firmware freezes: the port's own modules and asyncio, nothing of micropython-lib.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
