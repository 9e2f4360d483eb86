"""Every product and convolution costs what its closed formula says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.measure.macs import flop_counter_macs
from bench.measure.products import formulas
from tests.measure.counting import Function, counted, tokens


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(3, 12, 3, padding=1), (8, 8), 64 * 12 * 3 * 9),
        (nn.Conv2d(3, 12, 3, padding=1, groups=3), (8, 8), 64 * 12 * 1 * 9),
        (nn.Conv2d(3, 3, 5, padding=2, groups=3), (8, 8), 64 * 3 * 25),
        (nn.Conv2d(3, 12, 2, stride=2), (8, 8), 16 * 12 * 3 * 4),
        (nn.Conv2d(3, 12, 3, dilation=2), (8, 8), 16 * 12 * 3 * 9),
        (nn.Conv2d(3, 12, (3, 5), padding="same"), (8, 8), 64 * 12 * 3 * 15),
        (nn.Conv2d(3, 6, 3, padding="valid", groups=3), (8, 8), 36 * 6 * 9),
        (nn.ConvTranspose2d(3, 12, 2, stride=2), (8, 8), 64 * 3 * 12 * 4),
        (nn.ConvTranspose2d(3, 12, 4, stride=2, padding=1, groups=3), (8, 8), 64 * 3 * 4 * 16),
        (nn.ConvTranspose1d(3, 12, 4, stride=2), (8,), 8 * 3 * 12 * 4),
        (nn.Conv1d(3, 12, 3, padding=1), (8,), 8 * 12 * 3 * 3),
        (nn.Conv3d(3, 12, 3, padding=1), (4, 4, 4), 64 * 12 * 3 * 27),
        (nn.Conv3d(3, 6, (1, 3, 3), padding="same", groups=3), (4, 4, 4), 64 * 6 * 9),
    ],
    ids=str,
)
def test_convolutions_are_counted_by_their_formula(layer: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    count = counted(lambda m, x: m.layer(x), (1, 3, *shape), layer=layer)
    assert count.macs == macs
    assert count.by_operator == {"conv": macs}
    assert count.uncounted == []


def test_a_convolution_reads_its_image_and_writes_its_map() -> None:
    count = counted(lambda m, x: m.layer(x), layer=nn.Conv2d(3, 12, 2, stride=2))
    assert (count.activations_read, count.activations) == (3 * 8 * 8, 12 * 4 * 4)


def test_a_convolution_whose_kernel_comes_from_the_image_reads_the_kernel_too() -> None:
    count = counted(lambda m, x: F.conv2d(x, x[:, :, :3, :3].repeat(5, 1, 1, 1)))
    assert count.activations_read == 3 * 64 + 5 * 3 * 9


W = torch.ones
PRODUCTS: dict[str, tuple[Any, int]] = {
    "matrix times matrices": (lambda x: x @ W(8, 4), 3 * 64 * 4),
    "broadcast": (lambda x: x @ W(5, 1, 8, 4), 5 * 3 * 64 * 4),
    "matrices times vector": (lambda x: x @ W(8), 3 * 64),
    "vector times matrices": (lambda x: W(8) @ x, 3 * 64),
    "mm": (lambda x: torch.mm(x[0, 0], W(8, 4)), 64 * 4),
    "bmm": (lambda x: torch.bmm(x[0], W(3, 8, 4)), 3 * 64 * 4),
    "addmm": (lambda x: torch.addmm(W(4), x[0, 0], W(8, 4)), 64 * 4),
    "baddbmm": (lambda x: torch.baddbmm(W(1, 1, 4), x[0], W(3, 8, 4)), 3 * 64 * 4),
    "addbmm": (lambda x: torch.addbmm(W(8, 4), x[0], W(3, 8, 4)), 3 * 64 * 4),
    "mv": (lambda x: torch.mv(x[0, 0], W(8)), 64),
    "addmv": (lambda x: torch.addmv(W(8), x[0, 0], W(8)), 64),
    "dot": (lambda x: torch.dot(x[0, 0, 0], W(8)), 8),
    "vdot": (lambda x: torch.vdot(x[0, 0, 0], W(8)), 8),
    "inner": (lambda x: torch.inner(x, W(5, 8)), 3 * 64 * 5),
    "tensordot": (lambda x: torch.tensordot(x, W(8, 8, 5), 2), 3 * 64 * 5),
    "tensordot over other dimensions": (lambda x: torch.tensordot(x, W(5, 3), ([1], [1])), 64 * 3 * 5),
    "linear": (lambda x: F.linear(x, W(4, 8), W(4)), 3 * 64 * 4),
    "bilinear": (lambda x: F.bilinear(x, x[..., :4], W(5, 8, 4)), 24 * 5 * (8 * 4 + 4)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_counted_by_their_formula(name: str) -> None:
    function, macs = PRODUCTS[name]
    count = counted(lambda m, x: function(x))
    assert count.macs == macs
    assert count.uncounted == []


@pytest.mark.parametrize(
    "function",
    [lambda x: torch.outer(x[0, 0, 0], W(5)), lambda x: torch.addr(W(8, 5), x[0, 0, 0], W(5))],
    ids=["outer", "addr"],
)
def test_an_outer_product_accumulates_nothing_and_is_elementwise(function: Any) -> None:
    count = counted(lambda m, x: function(x))
    assert (count.macs, count.elementwise_ops, count.uncounted) == (0, 8 * 5, [])


@pytest.mark.parametrize(
    "function",
    [lambda x: torch.cdist(x, x), lambda x: torch.kron(x[0, 0], W(2, 2)), lambda x: torch.linalg.inv(x + torch.eye(8))],
    ids=["cdist", "kron", "inv"],
)
def test_a_product_whose_cost_hangs_on_torchs_choice_makes_the_count_incomplete(function: Any) -> None:
    assert counted(lambda m, x: function(x)).uncounted != []


EINSUMS: list[tuple[str, list[tuple[int, ...]], int]] = [
    ("bchw,cd->bdhw", [(3, 7)], 3 * 64 * 7),
    ("bchw,bcwk->bchk", [(1, 3, 8, 5)], 3 * 8 * 8 * 5),
    ("bchw,cd,de->behw", [(3, 4), (4, 6)], 3 * 64 * 4 + 64 * 4 * 6),
    ("...hw,...wk->...hk", [(8, 5)], 3 * 8 * 8 * 5),
    ("bchw,...cd->b...dhw", [(6, 3, 2)], 6 * 3 * 64 * 2),
    ("bchw,cd->bd", [(3, 7)], 3 * 7),
    ("bchw,cd->bchw", [(3, 7)], 3 * 64),
    ("bchw,bchw->bhw", [(1, 3, 1, 8)], 3 * 64),
    ("bchw->bc", [], 0),
]


@pytest.mark.parametrize(("equation", "shapes", "macs"), EINSUMS)
def test_einsum_is_counted_by_its_indices(equation: str, shapes: list[tuple[int, ...]], macs: int) -> None:
    assert counted(lambda m, x: torch.einsum(equation, x, *map(W, shapes))).macs == macs


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bchw,cd->bdhw", [(3, 7)]),
        ("bchw,cd,de->behw", [(3, 4), (4, 6)]),
        ("bchw,wd,de,ef->bchf", [(8, 4), (4, 6), (6, 2)]),
        ("bchw,...cd->b...dhw", [(6, 3, 2)]),
        ("bchw,cd->bd", [(3, 7)]),
        ("bhqd,bhkd->bhqk", [(1, 3, 5, 8)]),
    ],
)
def test_einsum_costs_what_torch_makes_of_it(equation: str, shapes: list[tuple[int, ...]]) -> None:
    model = Function(lambda m, x: torch.einsum(equation, x, *(x.new_ones(s) for s in shapes))).eval()
    assert flop_counter_macs(model, torch.zeros(1, 3, 8, 8)) == counted(model.function).macs


def _attend(**options: Any) -> Any:
    def attend(_: nn.Module, image: Tensor) -> Tensor:
        query = tokens(image).reshape(1, 64, 4, 2).transpose(1, 2)
        heads = 2 if options.get("enable_gqa") else 4
        key = query[:, :heads, :16]
        return F.scaled_dot_product_attention(query, key, torch.cat([key] * 3, -1), **options)

    return attend


@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"attn_mask": torch.zeros(64, 16)}, {"enable_gqa": True}], ids=str
)
def test_attention_costs_the_same_with_masks_and_with_shared_keys(options: dict[str, Any]) -> None:
    count = counted(_attend(**options), (1, 8, 8, 8))
    assert count.macs == 4 * 64 * 16 * (2 + 6)  # heads, queries, keys, width of keys and of values
    assert count.by_kind == {"attention": count.macs}
    assert count.activations == 4 * 64 * 16 + 4 * 64 * 6
    key_heads = 2 if options.get("enable_gqa") else 4
    assert count.activations_read == 4 * 64 * 2 + key_heads * 16 * (2 + 6) + 4 * 64 * 16
    softmax_and_mask = 4 * 64 * 16 * (2 if "attn_mask" in options else 1)
    assert count.elementwise_ops == 4 * 64 * 2 + softmax_and_mask


def _multi_head(**sizes: int) -> nn.Module:
    layer = nn.MultiheadAttention(16, 4, batch_first=True, **sizes)

    def attend(m: nn.Module, image: Tensor) -> Tensor:
        x = tokens(image)
        result: Tensor = m.layer(x, x, x, need_weights=False)[0]
        return result

    return Function(attend, layer=layer).eval()


def test_multi_head_attention_in_one_operator_costs_its_projections_and_both_products() -> None:
    image = torch.zeros(2, 16, 4, 4)
    count = counted(_multi_head().function, (2, 16, 4, 4), layer=_multi_head().layer)
    projections, attention = 2 * 16 * 16 * 4 * 16, 2 * 2 * 16 * 16 * 16
    assert count.by_kind == {"attention": attention, "projection": projections}
    assert flop_counter_macs(_multi_head(), image) == count.macs
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        plain = counted(_multi_head().function, (2, 16, 4, 4), layer=_multi_head().layer)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert (plain.macs, plain.by_kind, plain.activations) == (count.macs, count.by_kind, count.activations)
    assert plain.activations_read == count.activations_read
    assert plain.elementwise_ops == count.elementwise_ops


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_layer_in_one_operator_costs_the_same_as_in_parts(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 40, batch_first=True, norm_first=norm_first, activation="gelu").eval()

    def fused(_: nn.Module, image: Tensor) -> Tensor:
        attention, eps = layer.self_attn, 1e-5
        first, second = (layer.norm1.weight, layer.norm1.bias), (layer.norm2.weight, layer.norm2.bias)
        weights = [attention.in_proj_weight, attention.in_proj_bias, attention.out_proj.weight, attention.out_proj.bias]
        mlp = [layer.linear1.weight, layer.linear1.bias, layer.linear2.weight, layer.linear2.bias]
        x = tokens(image)
        return torch._transformer_encoder_layer_fwd(
            x, 16, 4, *weights, True, norm_first, eps, *first, *second, *mlp, None, None
        )

    layer.requires_grad_(False)
    one = counted(fused, (1, 16, 4, 4))
    parts = counted(lambda m, x: m.layer(tokens(x)), (1, 16, 4, 4), layer=layer)
    assert one.uncounted == parts.uncounted == []
    assert one.by_kind == parts.by_kind
    assert one.by_kind == {"attention": 2 * 16**3, "projection": 4 * 16**3, "mlp": 2 * 16 * 16 * 40}
    assert one.activations == parts.activations
    assert one.norm_ops == parts.norm_ops == 2 * 16 * 16
    assert one.elementwise_ops == parts.elementwise_ops


@pytest.mark.parametrize(
    ("kind", "gates", "options"),
    [
        (nn.LSTM, 4, {}),
        (nn.LSTM, 4, {"bidirectional": True}),
        (nn.GRU, 3, {"bidirectional": True}),
        (nn.GRU, 3, {"bias": False}),
        (nn.RNN, 1, {"nonlinearity": "tanh"}),
        (nn.RNN, 1, {"nonlinearity": "relu"}),
    ],
)
def test_recurrent_layers_apply_every_matrix_at_every_position(kind: Any, gates: int, options: Any) -> None:
    layer = kind(3, 5, batch_first=True, **options)
    count = counted(lambda m, x: m.layer(tokens(x))[0], layer=layer)
    directions = 2 if options.get("bidirectional") else 1
    assert count.macs == 64 * gates * 5 * (3 + 5) * directions
    assert count.activations == 64 * 2 * gates * 5 * directions
    assert count.by_kind == {"recurrent": count.macs}


def test_a_projected_lstm_of_two_layers_costs_all_its_matrices() -> None:
    layer = nn.LSTM(3, 5, 2, proj_size=2, bidirectional=True, batch_first=True)
    first, second, projection = 4 * 5 * (3 + 2), 4 * 5 * (2 * 2 + 2), 5 * 2
    count = counted(lambda m, x: m.layer(tokens(x))[0], layer=layer)
    assert count.macs == 64 * 2 * (first + second + 2 * projection)
    model = Function(lambda m, x: m.layer(tokens(x))[0], layer=layer).eval()
    assert flop_counter_macs(model, torch.zeros(1, 3, 8, 8)) == count.macs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_packed_sequences_cost_what_is_in_them(kind: Any, gates: int) -> None:
    def packed(m: nn.Module, x: Tensor) -> Tensor:
        pack = nn.utils.rnn.pack_padded_sequence(x[0], torch.tensor([8, 5, 2]), batch_first=True)
        result: Tensor = m.layer(pack)[0].data
        return result

    count = counted(packed, layer=kind(8, 5))
    assert count.uncounted == []
    assert count.macs == (8 + 5 + 2) * gates * 5 * (8 + 5)


def test_rolled_windows_cost_their_products_alone() -> None:
    def windows(m: nn.Module, x: Tensor) -> Tensor:
        parts = torch.roll(x, (-2, -2), (2, 3)).reshape(1, 3, 2, 4, 2, 4).permute(0, 2, 4, 3, 5, 1).reshape(4, 16, 3)
        return parts @ parts.transpose(1, 2)

    count = counted(windows)
    assert count.macs == 4 * 16 * 16 * 3
    assert (count.elementwise_ops, count.uncounted) == (0, [])


def test_no_operator_is_both_counted_and_free() -> None:
    from bench.measure.operators import ELEMENTWISE, FREE, MOVES, NORMS

    assert not FREE & formulas().keys()
    assert len(FREE) == len(NORMS) + len(ELEMENTWISE) + len(MOVES)
