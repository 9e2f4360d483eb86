"""ATen operators that hold no matrix product and no convolution, in three lists: norms, elementwise work, and moves.

Whatever is on none of the lists and has no formula in `bench.measure.products` makes a count incomplete and is named.
On none of them on purpose: `cdist`, `kron`, `chain_matmul`, `linalg_multi_dot`, solvers and Fourier transforms, whose
products depend on the algorithm that torch picks, and deformable convolution. Outer products (`outer`, `ger`, `addr`)
are elementwise: they multiply but accumulate nothing, and torch runs them as a broadcast `mul`.
"""

from __future__ import annotations

NORMS = frozenset({
    "_fused_rms_norm", "batch_norm", "group_norm", "instance_norm", "layer_norm", "native_batch_norm",
    "native_group_norm", "native_layer_norm", "rms_norm",
})  # fmt: skip
"""Normalisations by statistics of their input. Input 0 is what they read."""

ELEMENTWISE = frozenset({
    "abs", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "add", "add_", "addcdiv", "addcmul", "addr", "all", "amax", "amin", "any", "argmax",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "bitwise_and", "bitwise_not", "bitwise_or", "ceil", "celu", "celu_",
    "clamp", "clamp_", "clamp_max", "clamp_min", "clamp_min_", "col2im", "cos", "cumsum", "diff", "div",
    "div_", "elu", "elu_", "eq", "erf", "exp", "exp_", "expm1", "floor", "floor_divide", "floor_divide_", "fmod", "ge",
    "gelu", "gelu_", "ger", "glu", "grid_sampler", "gt", "hardsigmoid", "hardsigmoid_", "hardswish", "hardswish_",
    "hardtanh", "hardtanh_", "index_add", "index_add_", "l1_norm", "le", "leaky_relu", "leaky_relu_", "lerp",
    "linalg_vector_norm", "log", "log2", "log_softmax", "logical_and", "logical_not", "logical_or",
    "logsumexp", "lp_pool2d", "lt", "masked_fill", "masked_fill_", "max", "max_pool1d", "max_pool2d",
    "max_pool2d_with_indices", "max_pool3d", "maximum", "mean", "min", "minimum", "mish", "mish_", "mul", "mul_", "ne",
    "neg", "norm", "outer", "pow", "pow_", "prelu", "prod", "reciprocal", "relu", "relu6", "relu6_", "relu_",
    "remainder", "renorm", "round", "rsqrt", "rsub", "selu", "selu_", "sigmoid", "sigmoid_", "sign", "silu", "silu_",
    "sin", "softmax", "softplus", "softsign", "sqrt", "square", "std", "std_mean", "sub", "sub_", "sum", "tan", "tanh",
    "tanh_", "threshold", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_linear1d", "upsample_nearest1d",
    "upsample_nearest2d", "var", "var_mean", "where",
})  # fmt: skip
"""Arithmetic on single elements, activations, softmax, reductions, pooling and interpolation."""

MOVES = frozenset({
    "_pack_padded_sequence", "_pad_packed_sequence", "_shape_as_tensor", "_unsafe_view", "adjoint", "alias", "arange",
    "argsort", "as_strided", "as_tensor", "atleast_1d", "bernoulli_", "broadcast_tensors", "broadcast_to", "cat",
    "channel_shuffle", "chunk", "clone", "concat", "constant_pad_nd", "contiguous", "copy_", "detach", "detach_",
    "diagonal", "dropout", "dropout_", "embedding", "empty", "empty_like", "expand", "expand_as", "eye",
    "feature_dropout", "fill_", "flatten", "flip", "full", "full_like", "gather", "hstack", "im2col", "index",
    "index_fill", "index_put", "index_put_", "index_select", "lift_fresh", "linspace", "masked_select", "meshgrid",
    "movedim", "narrow", "new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "nonzero", "normal_",
    "numpy_T", "one_hot", "ones", "ones_like", "pad", "permute", "pixel_shuffle", "pixel_unshuffle", "rand",
    "rand_like", "randn", "randn_like", "randperm", "ravel", "reflection_pad1d", "reflection_pad2d", "repeat",
    "repeat_interleave", "replication_pad2d", "reshape", "reshape_as", "resolve_conj", "roll", "rot90",
    "scalar_tensor", "scatter", "scatter_", "select", "select_scatter", "size", "slice", "slice_scatter", "sort",
    "split", "split_with_sizes", "squeeze", "squeeze_", "stack", "swapaxes", "swapdims", "t", "take_along_dim",
    "tensor_split", "tile", "to", "topk", "transpose", "transpose_", "tril", "triu", "type_as", "unbind", "unflatten",
    "unfold", "uniform_", "unsafe_chunk", "unsafe_split", "unsqueeze", "unsqueeze_", "view", "view_as", "vstack",
    "zero_", "zeros", "zeros_like",
})  # fmt: skip
"""Views, copies, indexing, sorting, padding and new tensors: no arithmetic, in no column."""

FREE = NORMS | ELEMENTWISE | MOVES
"""All that is known to hold no matrix product and no convolution."""

BLANK = frozenset({
    "arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "new_empty", "new_full", "new_ones",
    "new_zeros", "numel", "ones", "ones_like", "rand", "rand_like", "randn", "randn_like", "randperm", "size",
    "zeros", "zeros_like",
})  # fmt: skip
"""Operators whose result knows at most the shape of their inputs, never their content."""
