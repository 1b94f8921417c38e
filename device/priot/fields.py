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
N_ROW = 21
ARGMAX_BITS = 22
MULTIPLIER = 23
RELU = 24
MASK_DX = 25
NONNEGATIVE = 26

# ---- method and shifts: changed between calls --------------------------------------------------
FORWARD_SHIFT = 27
BACKWARD_SHIFT = 28
UPDATE_SHIFT = 29
RULE = 30
ROUNDING = 31
THRESHOLD = 32
SELECTION = 33
TAU = 34
LOW_MEMORY = 35
N_CLASSES = 36
LOSS_SHIFT = 37

# ---- call and plan: what a core needs of its own -----------------------------------------------
ROW = 38
ROWS = 39
MEASURE = 40
PLAN_FORWARD = 41
PLAN_BACKWARD = 42
PLAN_UPDATE = 43
PLAN_PARAMETERS = 44
PLAN_END = 48

N_FIELDS = 48

# SELECTION: which edges have a score
ALL = 0
LARGEST = 1
BITMAP = 2

# raised where package and native modules of different versions do not go together
CONTRACT = 3
