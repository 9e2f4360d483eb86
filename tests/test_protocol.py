"""The protocol: its identity, its presets, its checks."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.protocol import PRESETS, Protocol, content_hash

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_equal_fields_are_the_same_protocol_whatever_preset_they_came_from() -> None:
    assert replace(PRESETS["smoke"], **vars(PRESETS["quick"])).id == PRESETS["quick"].id


@pytest.mark.parametrize("name", [f.name for f in fields(Protocol)])
def test_every_field_is_part_of_the_identity(name: str) -> None:
    base = Protocol()
    other = {
        "dataset": "torch/cifar10",
        "epochs": 2.0,
        "train_sizes": (0.5, 1.0),
        "seeds": (7,),
        "augment": "heavy",
        "precision": "fp32",
        "geometry": "small",
        "task": "finetune",
    }
    value = other.get(name) or type(getattr(base, name))(
        getattr(base, name) * 2 + (0.1 if name.startswith("drop") else 0)
    )
    if name == "smoothing":
        value = 0.2
    assert replace(base, **{name: value}).id != base.id


def test_a_protocol_survives_json() -> None:
    for preset in PRESETS.values():
        again = Protocol.from_dict(preset.to_dict())
        assert again == preset
        assert again.id == preset.id


def test_an_unknown_field_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"'batchsize'.*Did you mean batch_size"):
        Protocol.from_dict({"batchsize": 3})


def test_presets_know_their_name_and_changed_ones_are_custom() -> None:
    assert all(preset.preset == name for name, preset in PRESETS.items())
    assert replace(Protocol(), lr=0.1).preset == "custom"
    assert replace(PRESETS["standard"], dataset="torch/cifar10").preset == "standard"


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"img_size": 4}, "--img-size"),
        ({"batch_size": 1}, "--batch-size"),
        ({"samples_seen": 0}, "--samples-seen"),
        ({"epochs": 0.0}, "--epochs"),
        ({"train_sizes": ()}, "--train-sizes"),
        ({"train_sizes": (0.0,)}, "--train-sizes"),
        ({"train_sizes": (1.5,)}, "--train-sizes"),
        ({"train_sizes": (0.5, 0.5)}, "--train-sizes"),
        ({"seeds": ()}, "--seeds"),
        ({"seeds": (1, 1)}, "--seeds"),
        ({"seeds": (-1,)}, "--seeds"),
        ({"lr": 0.0}, "--lr "),
        ({"lr_trials": 0}, "--lr-trials"),
        ({"warmup_fraction": 1.0}, "--warmup-fraction"),
        ({"smoothing": 1.0}, "--smoothing"),
        ({"drop_path": 1.0}, "--drop-path"),
        ({"dev_fraction": 0.6}, "--dev-fraction"),
    ],
)
def test_a_value_no_run_could_use_is_refused_by_the_name_of_its_option(change: dict[str, object], option: str) -> None:
    with pytest.raises(UsageError) as refused:
        replace(Protocol(), **change)  # type: ignore[arg-type]
    assert str(refused.value).startswith(option)
    assert "\n" not in str(refused.value)


def test_the_budget_is_equal_at_every_size_unless_epochs_are_asked_for() -> None:
    equal = Protocol(samples_seen=1000, batch_size=32)
    assert equal.steps(10) == equal.steps(10_000) == 32
    passes = replace(equal, epochs=2.0)
    assert passes.steps(160) == 10
    assert passes.steps(320) == 20


def test_learning_rate_trials_are_half_a_decade_apart_around_the_centre() -> None:
    assert Protocol(lr=1e-3, lr_trials=1).learning_rates() == (1e-3,)
    low, middle, high = Protocol(lr=1e-3, lr_trials=3).learning_rates()
    assert middle == 1e-3
    assert high / middle == pytest.approx(10**0.5, rel=1e-2)
    assert middle / low == pytest.approx(10**0.5, rel=1e-2)


@given(JSON)
def test_the_content_hash_does_not_depend_on_the_order_of_keys(value: object) -> None:
    def turned(item: object) -> object:
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(list(item))}
        return [turned(part) for part in item] if isinstance(item, list) else item

    assert content_hash(value) == content_hash(turned(value))
