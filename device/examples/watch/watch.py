"""A watch learns its new wearer: before and after one minute of movement, on the board or a PC.

The sensor is a file of its readings; for a real one, `play` yields what it reads.
"""

import struct

import priot
from priot.readings import Recording

HOP = 25  # half a second at 50 Hz; a window is the model's 100 readings
READING = "<6hBB"  # acceleration, rotation: int16; the exercise; 1 where a recording begins


def play(path):
    """A function that plays a file of readings, as often as it is called."""
    def readings():
        row = bytearray(struct.calcsize(READING))
        with open(path, "rb") as f:
            while f.readinto(row) == len(row):
                reading = struct.unpack(READING, row)
                if reading[7]:
                    yield None, reading[6]
                yield reading[:6], reading[6]

    return readings


def main():
    net = priot.load("watch.priot")
    minute = Recording(net, play("minute.imu"), HOP)
    later = Recording(net, play("later.imu"), HOP)
    print("before:", net.evaluate(later))
    minute.save("minute.prd")  # so that fit can take its windows in any order
    trainer = priot.Trainer(net, "gain", seed=1)
    trainer.fit("minute.prd", epochs=20)
    trainer.save("wearer.scores")
    print("after:", trainer.evaluate(later))


main()
