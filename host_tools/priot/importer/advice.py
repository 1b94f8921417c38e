"""What to do about operations that no stage computes."""

from priot.importer.nodes import Node

_ADVICE = (
    (("Tanh", "Elu", "Selu", "LeakyRelu", "PRelu", "Gelu", "HardSwish", "HardSigmoid", "Swish",
      "Mish", "Softplus", "Softsign", "Erf", "Celu", "ThresholdedRelu", "RELU_N1_TO_1",
      "RELU_0_TO_1", "TANH", "HARD_SWISH", "LEAKY_RELU", "PRELU", "ELU", "GELU", "SIGN_BIT",
      "Exp", "Log", "Sqrt", "Pow", "Abs", "EXP", "LOG", "SQRT", "POW", "ABS"),
     "no such function here; train with ReLU or ReLU6 in its place"),
    (("LSTM", "GRU", "RNN", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM",
      "LSTM_BLOCK", "SVDF", "UNIDIRECTIONAL_SEQUENCE_RNN", "VAR_HANDLE", "READ_VARIABLE",
      "ASSIGN_VARIABLE", "CALL_ONCE", "Scan", "Loop", "If", "WHILE", "IF"),
     "no state and no branches here; use convolutions over time (Conv1d)"),
    (("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization",
      "RMSNormalization", "SkipLayerNormalization", "L2_NORMALIZATION", "LRN",
      "LOCAL_RESPONSE_NORMALIZATION", "MeanVarianceNormalization"),
     "its factors depend on each sample; train with batch norm, which is folded"),
    (("ConvTranspose", "Resize", "Upsample", "TRANSPOSE_CONV", "RESIZE_BILINEAR",
      "RESIZE_NEAREST_NEIGHBOR", "DepthToSpace", "DEPTH_TO_SPACE"),
     "images cannot be enlarged; end the network before it"),
    (("Concat", "CONCATENATION", "Split", "SPLIT", "Slice", "STRIDED_SLICE", "StridedSlice",
      "Gather", "GATHER", "Pack", "PACK", "Expand", "Tile", "Where", "SpaceToDepth"),
     "channels cannot be split or put together; use a sum (Add) or one wider layer"),
    (("QLinearConv", "QLinearMatMul", "QLinearAdd", "ConvInteger", "MatMulInteger",
      "DynamicQuantizeLinear", "DequantizeLinear"),
     "export the float network, or quantise it with QuantizeLinear and DequantizeLinear (QDQ)"),
    (("MultiHeadAttention", "Attention", "BATCH_MATMUL", "Einsum"),
     "no attention here; use convolutions"),
)
_KNOWN = "convolutions, linear layers, ReLU, ReLU6, pools, sums and batch norm"


def advice(node: Node) -> str:
    """Why an operation cannot be imported and what to do instead."""
    names = {node.op, node.shown, node.op.split(".")[-1]}
    for operations, text in _ADVICE:
        if names & set(operations):
            return text
    return f"not known here; build the network of {_KNOWN}"
