"""The timer of QEMU's mps2-an385, mps2-an386 and mps2-an500."""
from dual_timer import counter

MHZ = 25
count = counter(0x40002000)
