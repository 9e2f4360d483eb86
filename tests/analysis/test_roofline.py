"""Intensity, attainable rate and utilisation follow from recorded numbers by the documented formulas."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.roofline import device_of, roof_point
from bench.profiles import DeviceRecord, ProfileRecord
from tests.cost_samples import make_device, make_memory, make_profile, make_timing
from tests.samples import ENVIRONMENT, Fake, model_info

PARAMS, MACS, READ, WRITTEN = 5_000_000, 1_000_000_000, 6_000_000, 4_000_000


def _profile(**changes: Any) -> ProfileRecord:
    values: dict[str, Any] = {"macs": MACS, "activations": WRITTEN, "activations_read": READ} | changes
    return make_profile("m", model_info(Fake("m", params=PARAMS), 32), ENVIRONMENT, 32, 10, **values)


def _rate(device: DeviceRecord, name: str) -> float:
    return device.flops_per_s[name].median_per_s


def test_inference_moves_input_and_output_of_every_image_and_the_weights_once() -> None:
    point = roof_point(_profile(inference=make_timing(8, 50.0)), "inference", None)
    assert point is not None
    assert point.intensity == pytest.approx(8 * 2 * MACS / (8 * 4 * (READ + WRITTEN) + 4 * PARAMS))
    assert point.flops_per_s == 50.0 * 2 * MACS


def test_training_costs_three_forward_passes_and_moves_the_weights_ten_times() -> None:
    point = roof_point(_profile(training=make_timing(8, 20.0)), "training", None)
    assert point is not None
    assert point.flops_per_s == 20.0 * 6 * MACS
    assert point.intensity == pytest.approx(8 * 6 * MACS / (3 * 8 * 4 * (READ + WRITTEN) + 10 * 4 * PARAMS))


def test_bf16_halves_what_activations_move_but_not_the_stored_weights() -> None:
    point = roof_point(_profile(inference=make_timing(8, 50.0, precision="bf16")), "inference", None)
    assert point is not None
    assert point.intensity == pytest.approx(8 * 2 * MACS / (8 * 2 * (READ + WRITTEN) + 4 * PARAMS))


def test_stored_weights_are_those_that_were_measured_where_they_were() -> None:
    memory = make_memory(PARAMS, weights_bytes=99_000_000)
    point = roof_point(_profile(memory=memory, inference=make_timing(1, 50.0)), "inference", None)
    assert point is not None
    assert point.intensity == pytest.approx(2 * MACS / (4 * (READ + WRITTEN) + 99_000_000))


def test_the_lower_roof_is_attainable_and_the_fraction_is_of_it() -> None:
    device = make_device(ENVIRONMENT)
    bandwidth = device.copy_bytes_per_s.median_per_s
    wide = roof_point(_profile(), "inference", device)
    narrow = roof_point(_profile(activations_read=500_000_000), "inference", device)
    assert wide is not None
    assert narrow is not None
    assert narrow.intensity is not None
    assert wide.attainable_flops_per_s == _rate(device, "fp32")
    assert narrow.attainable_flops_per_s == pytest.approx(bandwidth * narrow.intensity)
    assert narrow.fraction == pytest.approx(narrow.flops_per_s / (bandwidth * narrow.intensity))


def test_utilisation_is_of_the_matrix_rate_in_the_same_precision() -> None:
    device = make_device(ENVIRONMENT)
    for name in ("fp32", "bf16"):
        point = roof_point(_profile(inference=make_timing(8, 50.0, precision=name)), "inference", device)
        assert point is not None
        assert point.mfu == pytest.approx(50.0 * 2 * MACS / _rate(device, name))
    unknown = roof_point(_profile(inference=make_timing(8, 50.0, precision="fp16")), "inference", device)
    assert unknown is not None
    assert (unknown.mfu, unknown.attainable_flops_per_s, unknown.fraction) == (None, None, None)


def test_without_a_device_record_nothing_is_attainable_and_nothing_utilised() -> None:
    point = roof_point(_profile(), "inference", None)
    assert point is not None
    assert (point.mfu, point.attainable_flops_per_s, point.fraction) == (None, None, None)


def test_without_elements_read_there_is_utilisation_but_no_intensity() -> None:
    point = roof_point(_profile(activations_read=None), "inference", make_device(ENVIRONMENT))
    assert point is not None
    assert (point.intensity, point.attainable_flops_per_s) == (None, None)
    assert point.mfu is not None


@pytest.mark.parametrize("missing", [{"macs": None}, {"inference": None}])
def test_without_macs_or_timing_there_is_no_point(missing: dict[str, Any]) -> None:
    assert roof_point(_profile().model_copy(update=missing), "inference", None) is None


def test_the_device_is_the_newest_of_the_same_hardware_kind_and_threads() -> None:
    def device(created: str, **changes: Any) -> DeviceRecord:
        return make_device(ENVIRONMENT.model_copy(update=changes), created=created)

    old, new = device("2026-01-01"), device("2026-02-01")
    others = [
        device("2026-03-01", threads=9),
        device("2026-03-01", hardware="Other"),
        device("2026-03-01", device="cuda:0"),
    ]
    assert device_of(ENVIRONMENT, [old, new, *others]) is new
    assert device_of(ENVIRONMENT, others) is None


def test_on_a_gpu_neither_its_number_nor_the_threads_matter() -> None:
    gpu = ENVIRONMENT.model_copy(update={"hardware": "GPU", "device": "cuda:0"})
    record = make_device(gpu)
    elsewhere = gpu.model_copy(update={"device": "cuda:3", "threads": 64})
    assert device_of(elsewhere, [record]) is record
