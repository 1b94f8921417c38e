"""The layer descriptor: what each of its int32 is. The one table; DESIGN.md has the meanings.

Pure data: packaging puts the numbers where the names stand, the host reads this file as it is,
and native/tables.py makes C of it.
"""

# ---- geometry: from the model file, never changed --------------------------------------------
N_IN = 0
H_IN = 1
W_IN = 2
N_OUT = 3
KERNEL_H = 4
KERNEL_W = 5
STRIDE_H = 6
STRIDE_W = 7
PAD_TOP = 8
PAD_BOTTOM = 9
PAD_LEFT = 10
PAD_RIGHT = 11
H_CONV = 12
W_CONV = 13
POOL_H = 14
POOL_W = 15
POOL_STRIDE_H = 16
POOL_STRIDE_W = 17
H_OUT = 18
W_OUT = 19
GROUPS = 20
GROUP_IN = 21
GROUP_OUT = 22
N_ROW = 23
ARGMAX_BITS = 24
MULTIPLIER = 25
BIAS = 26
RELU = 27
HIGH = 28
MASK_DX = 29
MASK_DZ = 30
NONNEGATIVE = 31
Z_SHIFT = 32

# ---- method and shifts: changed between calls --------------------------------------------------
FORWARD_SHIFT = 33
BACKWARD_SHIFT = 34
UPDATE_SHIFT = 35
RULE = 36
ROUNDING = 37
THRESHOLD = 38
SELECTION = 39
TAU = 40
LOW_MEMORY = 41
N_CLASSES = 42
LOSS_SHIFT = 43
ADD_DX = 44
ADD_DZ = 45

# ---- call and plan: what a core needs of its own -----------------------------------------------
ROW = 46
ROWS = 47
MEASURE = 48
PLAN_FORWARD = 49
PLAN_BACKWARD = 50
PLAN_UPDATE = 51
PLAN_PARAMETERS = 52
PLAN_END = 56

N_FIELDS = 56

LAYERS_PLAN = 64  # in PLAN_*, and as the number of a plan: from here on those of priot_layers
BACKWARD_PLAN = 128  # and of priot_backward

# SELECTION: which edges have a score
ALL = 0
LARGEST = 1
BITMAP = 2

# loss of a model: what its outputs are compared with in training
CROSS_ENTROPY = 0  # a label
SQUARED_ERROR = 1  # a vector that comes with the sample
RECONSTRUCTION = 2  # the sample itself, by squared error too

# raised where package and native modules of different versions do not go together
CONTRACT = 9
