"""Kinds of layers and their kernels: a kernel is a name and a form. Pure data, as fields.py.

A form has a letter for each operand, in the order of the kernel's tuple. Calls (calls.py), the
glue of the native modules with its checks (native/tables.py, native/check.c) and the tests are
made from it; capitals are written to.

    Y     the layer's output, int8            X     gradient of the input, int8
    y     gradient of the output, int8        x     the input, int8
    Z z   of an addition: the same of its other input
    A a   winners of max-pooling              d     the layer's descriptor
    c     int32 biases of the whole layer, or empty; C written
    r     weights of rows ROW .. ROW + ROWS - 1, R written; w those of the whole layer. Forward and
          backward are given the effective weights, update (W) those of the backbone
    s S   scores                              E     effective weights of the whole layer, or empty
    b     which edges have a score            v     bytes, any number
    0     int32 scratch, as scratch_words says for inference; 1 for training, 2 for training of
          the first trained layer, 3 for two histograms
    #     a number, given beside the tuple
"""

CONV2D = 1
LINEAR = 2
MAX_POOL = 3
AVG_POOL = 4
GLOBAL_POOL = 5
ADD = 6

# kind -> name, forms of forward, backward and update; without an update there are no weights
KINDS = {
    CONV2D: ("conv2d", "YAxrc0d", "Xyaxw1d", "SEyaxWb2d"),
    LINEAR: ("linear", "Yxrc0d", "Xyxr1d", "SEyxWb2d"),
    MAX_POOL: ("max_pool", "YAxd", "Xyaxd", ""),
    AVG_POOL: ("avg_pool", "Yxd", "Xyxd", ""),
    GLOBAL_POOL: ("global_pool", "Yxd", "Xyxd", ""),
    ADD: ("add", "Yxzd", "XZyxzd", ""),
}

# kernels of no kind: of who wants this one, priot_portable is loaded anyway, and alone has it
PORTABLE = {
    "bias_update": "Cyd",
}

# the others, which both native modules have
SHARED = {
    "effective_weights": "Rwsbd",
    "kth_largest": "v3#",
    "count_below": "v#",
    "classify": "v",
}
