"""Saves to a full file system: full_disk.py MODEL FOLDER_OF_RAM_DISK DATASET."""

import os
import sys

sys.path.append(sys.argv[2])
import ram_disk

import priot

ram_disk.make(40, "/disk")
net = priot.load(sys.argv[1])
trainer = priot.Trainer(net, seed=1)
trainer.save("/disk/a.scores")
with open("/disk/a.scores", "rb") as f:
    old = f.read()
while os.statvfs("/disk")[3] > 2:  # blocks: fewer than a scores file needs
    with open("/disk/junk", "ab") as f:
        f.write(bytes(ram_disk.BLOCK))
trainer = priot.Trainer(net, seed=2)
for attempt in (lambda: trainer.save("/disk/a.scores"),
                lambda: trainer.fit(sys.argv[3], epochs=1, checkpoint="/disk/a.scores",
                                    verbose=False)):
    try:
        attempt()
        print("saved on a full disk")
    except OSError as e:
        print(e.errno, e.args[1])
with open("/disk/a.scores", "rb") as f:
    print("untouched" if f.read() == old else "damaged", sorted(os.listdir("/disk")))
print("seen", trainer.seen)
os.remove("/disk/junk")
trainer.save("/disk/a.scores")
priot.Trainer(net, seed=3).load("/disk/a.scores")
print("saved")
