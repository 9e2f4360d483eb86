"""The charts' specifications are valid Vega-Lite, and every library is there to draw them."""

from __future__ import annotations

import altair as alt
import pytest

from bench.analysis.fronts import AXES
from bench.report.html.charts import AXIS_LABELS, AXIS_TITLES, charts
from bench.report.html.libraries import content_policy, data_tables_script, inert, our_script, vega_script


def test_every_specification_is_valid() -> None:
    found = charts()
    for spec in (*found["pareto"].values(), found["curves"], found["confusion"]):
        alt.Chart.from_dict(spec, validate=True)


def test_every_cost_has_an_axis_of_its_own() -> None:
    assert set(charts()["pareto"]) == set(AXIS_TITLES) == set(AXIS_LABELS) == set(AXES)
    for name, spec in charts()["pareto"].items():
        titles = {layer["encoding"]["x"]["title"] for layer in spec["layer"]}
        assert len(titles) == 1
        assert AXIS_TITLES[name] in titles.pop()


def test_throughput_is_better_to_the_right_and_costs_to_the_left() -> None:
    found = charts()["pareto"]
    assert found["inference_img_per_s"]["layer"][0]["mark"]["interpolate"] == "step-before"
    assert found["latency_ms"]["layer"][0]["mark"]["interpolate"] == "step-after"


def test_the_installed_packages_carry_the_scripts() -> None:
    assert "globalThis.backboneTable = { DataTable:" in data_tables_script()
    assert "globalThis.backboneCharts" in vega_script()
    for script in (data_tables_script(), vega_script(), our_script()):
        assert "</script" not in script.lower()
        assert "\r" not in script


@pytest.mark.parametrize("ending", ["</script>", "</SCRIPT >", "a </script"])
def test_no_string_in_a_script_ends_it(ending: str) -> None:
    assert "</script" not in inert(f"x = '{ending}'").lower()


def test_our_scripts_never_make_markup_out_of_text() -> None:
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in our_script()


def test_the_policy_allows_scripts_by_hash_only() -> None:
    policy = content_policy(("a",), ("b",))
    assert "script-src 'sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs='" in policy
    assert "unsafe-eval" not in policy
