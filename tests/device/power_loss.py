"""Loses the power at every write of a save(): power_loss.py MODEL FOLDER_OF_RAM_DISK.

Prints how many power losses left the old file, how many the new one, and how many anything else.
"""

import sys
import vfs

sys.path.append(sys.argv[2])
import ram_disk

import priot

disk = ram_disk.make(96, "/disk")
net = priot.load(sys.argv[1])
trainer = priot.Trainer(net, seed=1)
trainer.save("/disk/a.scores")
with open("/disk/a.scores", "rb") as f:
    old = f.read()
whole = bytes(disk.data)
trainer = priot.Trainer(net, seed=2)
trainer.save("/disk/a.scores")
with open("/disk/a.scores", "rb") as f:
    new = f.read()

counts = {"old": 0, "new": 0, "other": 0}
n = 0
while True:
    vfs.umount("/disk")
    disk.data[:] = whole
    disk.writes_left = -1
    vfs.mount(disk, "/disk")
    disk.writes_left = n
    try:
        trainer.save("/disk/a.scores")
        lost = False
    except (OSError, ram_disk.PowerLost):
        lost = True
    try:
        vfs.umount("/disk")
    except (OSError, ram_disk.PowerLost):
        pass
    disk.writes_left = -1
    vfs.mount(disk, "/disk")
    with open("/disk/a.scores", "rb") as f:
        found = f.read()
    counts["old" if found == old else "new" if found == new else "other"] += 1
    priot.Trainer(net, seed=3).load("/disk/a.scores")
    if not lost:
        break
    n += 1
print(counts["old"], counts["new"], counts["other"])
