"""Where jobs run: MicroPython's unix port on this machine, QEMU, or an emulated Pico."""
