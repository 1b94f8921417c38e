"""Indices of a layer descriptor and the ids used in files: the host's copy of the device's table.

Host code never imports device code; a test compares this table with device/priot/fields.py.
The meaning of each field stands in device/DESIGN.md.
"""

N_IN = 0
H_IN = 1
W_IN = 2
N_OUT = 3
KERNEL = 4
STRIDE = 5
PADDING = 6
H_CONV = 7
W_CONV = 8
POOL = 9
POOL_STRIDE = 10
H_OUT = 11
W_OUT = 12
RELU = 13
X_RELU = 14
FORWARD_SHIFT = 15
BACKWARD_SHIFT = 16
UPDATE_SHIFT = 17
ROW = 18
ROWS = 19
RULE = 20
ROUNDING = 21
THRESHOLD = 22
SELECTION = 23
TAU = 24
N_ROW = 25
MULTIPLIER = 26
MEASURE = 27
ARGMAX_BITS = 28
N_CLASSES = 29
LOSS_SHIFT = 30
KEEP_COUNT = 31
PLAN_FORWARD = 32
PLAN_BACKWARD = 33
PLAN_UPDATE = 34
LOW_MEMORY = 39
N_FIELDS = 40

# layers in a model file
CONV2D = 1
LINEAR = 2
RELU_LAYER = 3
MAX_POOL2D = 4
AVG_POOL2D = 5
FLATTEN = 6

# RULE
FROZEN = 0
PRUNE = 1
GAIN = 2
WEIGHTS = 3

# ROUNDING
RHU = 0
PSR = 1

# SELECTION
ALL = 0
LARGEST = 1
BITMAP = 2

KIND_NAMES = {
    CONV2D: "conv2d",
    LINEAR: "linear",
    RELU_LAYER: "relu",
    MAX_POOL2D: "max_pool2d",
    AVG_POOL2D: "avg_pool2d",
    FLATTEN: "flatten",
}

# raised where package and native modules of different versions do not go together
CONTRACT = 2
