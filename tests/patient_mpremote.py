"""mpremote itself, whose time-outs count in the time of the emulated board: it is the same program
on a machine however busy.
"""

import sys

from mpremote import commands, main
from priot.transport import BoardTransport

commands.SerialTransport = BoardTransport
if __name__ == "__main__":
    sys.exit(main.main())
