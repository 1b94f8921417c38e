"""The timer of QEMU's mps2-an505."""
from dual_timer import counter

MHZ = 20
count = counter(0x50002000)
