"""The figures that need a GPU are collected call by call: what is done stays done, what does not fit waits."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from bench.options import parse
from tests.benchmarks.on_gpu import GRACE_S, ROOT, Step, run_steps, steps

LONG = 10 * GRACE_S


def test_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    counts = Step("counts", 60, ("-c", f"open({str(tmp_path / 'n')!r}, 'a').write('x'); print('12 img/s')"))
    assert run_steps([counts], tmp_path / "out", LONG) == {"counts": "done"}
    assert run_steps([counts], tmp_path / "out", LONG) == {"counts": "done"}
    assert (tmp_path / "n").read_text() == "x"
    assert (tmp_path / "out" / "counts.txt").read_text() == "12 img/s\n"


def test_a_step_that_fails_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    broken, fine = Step("broken", 60, ("-c", "print('why'); exit(3)")), Step("fine", 60, ("-c", "print(1)"))
    told = run_steps([broken, fine], tmp_path, LONG)
    assert told["broken"].startswith("failed with exit code 3")
    assert told["fine"] == "done"
    assert (tmp_path / "broken.part").read_text() == "why\n"
    assert not (tmp_path / "broken.txt").exists()


def test_a_step_beyond_its_limit_is_interrupted_and_one_that_does_not_fit_is_left(tmp_path: Path) -> None:
    sleeps = Step("sleeps", 0.5, ("-c", "import time; time.sleep(60)"))
    assert run_steps([sleeps], tmp_path, LONG) == {"sleeps": "interrupted"}
    late = [Step("late", 100, ("-c", "")), Step("goes_on", 100, ("-c", ""), goes_on=True)]
    assert run_steps(late, tmp_path, 60) == {"late": "left", "goes_on": "done"}


@pytest.mark.parametrize("step", steps("FOLDER", Path("out")), ids=lambda step: step.name)
def test_every_step_names_a_command_and_options_that_exist(step: Step) -> None:
    options = [word for word in step.argv if word.startswith("--")]
    if step.argv[0] == "run_bench.py":
        models = [word for word in step.argv[1:] if word != "FOLDER"]
        assert parse([word for word in models if word != "--dataset"]) is not None
    elif step.argv[1] != "pytest":
        file = ROOT / (step.argv[1].replace(".", "/") + ".py")
        assert importlib.import_module(step.argv[1])
        known = re.findall(r'add_argument\("(--[a-z-]+)"', file.read_text())
        assert set(options) <= set(known)
