"""argv and config files → options. Every option comes from the type and docstring of a Protocol or Study field."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import json
import re
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from bench.errors import UsageError, did_you_mean
from bench.models.small import has_small
from bench.protocol import PRESETS, Protocol, claims_protocol
from bench.study import COST_ONLY_PX, GATE_MODELS, Study

LISTS = ("models", "interventions", "train_sizes", "seeds", "checkpoint", "plugins", "batch_sizes")
"""Options that take several values with commas between them."""
SPELLINGS = {"lr_trials": ["--lr-trials"], "checkpoint": ["--checkpoint", "--initial-checkpoint"]}
"""Option names where they are not just the field's name with dashes."""
COST = ("cost_only", "channels_last", "compile", "batch_sizes", "time_budget")
"""Fields of the study that decide how cost is measured."""
FROM_WEIGHTS: dict[str, dict[str, Any]] = {
    "finetune": {"task": "finetune", "img_size": 224, "lr": 1e-4},
    "linear": {"task": "linear", "img_size": 224, "augment": "none"},
    "evaluate": {"task": "evaluate", "img_size": 224},
}
"""Defaults of the tasks that start from published weights: these were made at 224 px and want smaller steps."""
WHERE = """\
Also rank only the models that fit a budget, such as 'latency_ms<5 & params_m<30', by the board's rule; those that may
fit are listed apart. Comparisons (chains too) with numbers, joined by & | not ( ). Names: top1 and top1_smallest
(percent, at the largest and smallest train size), params_m (millions), gmacs, latency_ms, inference_img_per_s,
training_step_img_per_s, train_img_per_s (as the runs were), train_s (all runs), memory_mib (peak of inference),
training_memory_mib (peak of a step), weights_mib, energy_mj (per image), and family == 'CNN' (or ViT, Swin, Hybrid,
RNN, other).
"""
EPILOG = """\
exit codes: 0 all done; 1 some cells failed, board written; 2 usage; 3 a gate failed; 130 interrupted (the same
command goes on)
"""


@dataclass(frozen=True)
class Options:
    """A parsed command line."""

    study: Study
    """What to run."""
    list_models: str | None = None
    """Glob of `--list-models`; empty for our aliases; None where not asked for."""
    report_only: bool = False
    """Redraw the board from records, run nothing."""
    dry_run: bool = False
    """Print the plan, run nothing."""
    json: bool = False
    """JSON instead of a table on stdout."""
    pictures: bool = True
    """Whether to draw, or to leave pictures and the page to a later `--report-only`."""
    where: str | None = None
    """A budget to rank the models under, as it was written."""
    claims: str | None = None
    """Ids of the claims to test, comma-separated; empty for all; None where not asked for."""
    list_claims: bool = False
    """Name the claims, run nothing."""
    save_baseline: Path | None = None
    """File that the gates' baseline is written to."""
    check: Path | None = None
    """File of the baseline to compare with."""
    base: Path | None = None
    """Checkout of the version to compare speed with."""
    named_models: bool = False
    """Whether the user named the models."""
    verbosity: int = 0
    """-1 quiet, 0 normal, 1 verbose."""


def parse(argv: Sequence[str]) -> Options | None:
    """Options from `argv`; None where help or the configuration was printed. Raises UsageError."""
    from jsonargparse import ArgumentError

    arguments = _bracket_lists(list(argv))
    early = _early(arguments)
    parser = _parser(early)
    try:
        values = parser.parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(_one_line(str(error), parser)) from error
    except SystemExit as stop:
        if stop.code:
            raise UsageError("the command line could not be read; --help shows the options.") from stop
        return None
    return _options(values.as_dict(), early)


def _parser(early: _Early) -> Any:
    """The parser with the defaults of the preset, and of `--cost-only` or the gates where those are asked for."""
    from jsonargparse import ArgumentParser

    defaults = claims_protocol(early.preset) if early.claims else PRESETS[early.preset]
    if early.cost_only:
        defaults = dataclasses.replace(defaults, img_size=COST_ONLY_PX, geometry="canonical")
    if early.published:
        defaults = dataclasses.replace(defaults, geometry="canonical")
    if early.task in FROM_WEIGHTS:
        defaults = dataclasses.replace(defaults, **FROM_WEIGHTS[early.task])

    parser = ArgumentParser(
        prog="run_bench.py",
        description="Vision backbones under one protocol: accuracy, cost, data efficiency, and which "
        "differences are real. Writes results/leaderboard.md.",
        epilog=EPILOG,
        exit_on_error=False,
        formatter_class=_help_format(),
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these options.")
    what = parser.add_argument_group("what to compare")
    protocol = parser.add_argument_group("protocol: everything held equal between the models")
    cost = parser.add_argument_group("cost: how it is measured")
    show = parser.add_argument_group("what to show")
    _add_field(what, Study, "models", GATE_MODELS if early.gates else Study().models)
    show.add_argument(
        "--list-models",
        metavar="GLOB",
        nargs="?",
        const="",
        default=None,
        help="List our names, or all of ours and timm's that match a glob, and stop.",
    )
    protocol.add_argument(
        "--protocol",
        choices=sorted(PRESETS),
        default=early.preset,
        help="Preset that the options below refine: smoke (seconds), quick (default on a CPU), "
        "standard (default on a GPU), imagenet, gate (default of --save-baseline).",
    )
    for field in dataclasses.fields(Protocol):
        _add_field(protocol, Protocol, field.name, getattr(defaults, field.name))
    for field in dataclasses.fields(Study):
        if field.name not in ("models", "protocol"):
            _add_field(cost if field.name in COST else what, Study, field.name, field.default)
    _add_claims(parser.add_argument_group("claims: what is said about inductive bias, tested"))
    _add_gates(parser.add_argument_group("gates: what a change did, for CI"))
    show.add_argument("--where", type=str, metavar="CONDITION", help=" ".join(WHERE.split()))
    show.add_argument("--report-only", action="store_true", help="Redraw the board from the records; run nothing.")
    text = "Draw the pictures and leaderboard.html; without, a later --report-only does."
    _add_switch(show, ["--pictures"], default=True, text=text)
    show.add_argument("--dry-run", action="store_true", help="Print the plan: cells, steps, time, what is done.")
    show.add_argument("--json", action="store_true", help="Print JSON instead of tables.")
    show.add_argument("-v", "--verbose", action="store_true", help="Say more on stderr.")
    show.add_argument("-q", "--quiet", action="store_true", help="Say only warnings on stderr.")
    return parser


def _add_claims(group: Any) -> None:
    group.add_argument(
        "--claims",
        metavar="C01,C02,…",
        nargs="?",
        const="",
        default=None,
        help="Test these claims, or all, with three seeds unless told otherwise; writes claims.md and claims.html.",
    )
    group.add_argument("--list-claims", action="store_true", help="Name the claims, and stop.")


def _add_gates(group: Any) -> None:
    group.add_argument("--save-baseline", type=str, metavar="FILE", help="Write what --check compares with, and stop.")
    group.add_argument(
        "--check",
        type=str,
        metavar="FILE",
        help="Compare sizes, accuracy and (with --base) speed with a saved baseline; exit code 3 where a gate fails.",
    )
    group.add_argument(
        "--base", type=str, metavar="DIR", help="Checkout of the version that --check compares speed with."
    )


def _add_field(group: Any, owner: type, name: str, default: Any) -> None:
    """Add the option of one dataclass field: type from its annotation, help from the docstring below it."""
    flags = SPELLINGS.get(name, ["--" + name.replace("_", "-")])
    kind = get_type_hints(owner)[name]
    text = _field_docs(owner)[name].replace("`", "").replace("%", "%%")
    if kind is bool:
        _add_switch(group, flags, default, text)
        return
    metavar = {"metavar": "A,B,…"} if name in LISTS else {}
    group.add_argument(*flags, type=kind, default=default, help=text, **metavar)


def _add_switch(group: Any, flags: list[str], default: bool, text: str) -> None:
    """A flag that turns something on; where it is on by default, `--no-…` turns it off."""
    from jsonargparse import ActionYesNo

    if default:
        group.add_argument(*flags, action=ActionYesNo(no_prefix="no-"), default=True, help=text)
    else:
        group.add_argument(*flags, action="store_true", help=text)


@cache
def _field_docs(owner: type) -> dict[str, str]:
    """The docstring below each annotated field of a class, read from its source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(f"{owner} is no class")
    docs: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            docs[field.target.id] = " ".join(str(below.value.value).split())
    return docs


def _options(values: dict[str, Any], early: _Early) -> Options:
    """Build the typed options from parsed values; the dataclasses check them."""
    protocol = Protocol(**{f.name: values[f.name] for f in dataclasses.fields(Protocol)})
    of_study = {f.name: values[f.name] for f in dataclasses.fields(Study) if f.name != "protocol"}
    return Options(
        study=Study(protocol=protocol, **of_study),
        list_models=values["list_models"],
        report_only=values["report_only"],
        dry_run=values["dry_run"],
        json=values["json"],
        pictures=values["pictures"],
        where=values["where"],
        claims=values["claims"],
        list_claims=values["list_claims"],
        save_baseline=_path(values["save_baseline"]),
        check=_path(values["check"]),
        base=_path(values["base"]),
        named_models=early.named_models,
        verbosity=values["verbose"] - values["quiet"],
    )


def _bracket_lists(argv: list[str]) -> list[str]:
    """`--seeds 0,1,2` → `--seeds [0, 1, 2]`, the spelling in which a typed parser expects several values."""
    result: list[str] = []
    waiting: str | None = None
    for token in argv:
        option, separator, value = token.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if waiting is not None:
            result.append(_as_list(waiting, token))
            waiting = None
        elif option.startswith("--") and name in LISTS and separator:
            result.append(f"{option}={_as_list(name, value)}")
        else:
            waiting = name if option.startswith("--") and name in LISTS else None
            result.append(token)
    return result


def _as_list(name: str, text: str) -> str:
    """The values of a list option as JSON; text that is a list already stays as it is."""
    if text.startswith("["):
        return text
    parts = [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]
    if name in ("models", "interventions", "checkpoint", "plugins"):
        return json.dumps(parts)
    return "[" + ", ".join(parts) + "]"


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text is not None else None


@dataclass(frozen=True)
class _Early:
    """What decides the defaults of the other options."""

    preset: str
    cost_only: bool
    claims: bool
    gates: bool
    named_models: bool
    published: bool
    """Whether images have no small geometry, or weights are asked for that do not fit it."""
    task: str
    """What is done with a model."""


def _early(argv: list[str]) -> _Early:
    """Look ahead for what decides the defaults; the preset is chosen by the hardware if nobody names one."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--protocol")
    early.add_argument("--config")
    early.add_argument("--device")
    early.add_argument("--cost-only", action="store_true")
    early.add_argument("--pretrained", action="store_true")
    early.add_argument("--task")
    early.add_argument("--claims", nargs="?", const="")
    for option in ("--models", "--save-baseline", "--check", "--img-size"):
        early.add_argument(option)
    try:
        known, _ = early.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}; --help shows the options.") from error
    asked = known.protocol
    in_file = _read_config(Path(known.config)) if known.config else {}
    gates = known.save_baseline is not None or known.check is not None
    asked = asked or in_file.get("protocol") or ("gate" if gates else None)
    if asked is None:
        from bench.measure.hardware import detect

        device = known.device or in_file.get("device") or "auto"
        asked = "standard" if detect(str(device), "auto").device.startswith("cuda") else "quick"
    if asked not in PRESETS:
        raise UsageError(f"unknown protocol {asked!r}: choose from {', '.join(PRESETS)}.{did_you_mean(asked, PRESETS)}")
    task = str(known.task or in_file.get("task") or "scratch")
    return _Early(
        preset=str(asked),
        task=task,
        cost_only=known.cost_only or in_file.get("cost_only") is True,
        claims=known.claims is not None or in_file.get("claims") is not None,
        gates=gates,
        named_models=known.models is not None or "models" in in_file,
        published=known.pretrained
        or task != "scratch"
        or in_file.get("pretrained") is True
        or _not_small(known.img_size or in_file.get("img_size")),
    )


def _not_small(img_size: object) -> bool:
    """Whether images of this size, as it was written, have no small geometry; False where it is no number."""
    text = str(img_size)
    return text.isdigit() and not has_small(int(text))


def _read_config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or "it is not YAML"
        raise UsageError(f"--config {path} cannot be read: {reason}.") from error
    if not isinstance(values, dict):
        raise UsageError(f"--config {path} must hold `option: value` lines.")
    return values


def _one_line(message: str, parser: Any) -> str:
    """A parser's error as one line, with the nearest option where one is unknown."""
    text = " ".join(message.split())
    flags = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
    unknown = re.search(r"unrecognized arguments: (\S+)", text, re.IGNORECASE)
    if unknown:
        word = unknown.group(1).split("=")[0]
        return f"there is no option {word}.{did_you_mean(word, flags)} --help shows all."
    unknown = re.search(
        r"[Kk]eys? '?\"?([\w.]+)'?\"? (?:is )?not expected|Group '.*' does not accept nested key '([\w.]+)'", text
    )
    if unknown:
        word = unknown.group(1) or unknown.group(2)
        return f"the config file has an unknown option {word!r}.{did_you_mean('--' + word, flags)}"
    expected = re.search(r'[Pp]arser key "(\w+)": Expected an? (.*?)\. Got value: (.*)', text)
    if expected:
        name, kind, value = expected.groups()
        return f"--{name.replace('_', '-')} does not take {value!r}: expected {_plain_type(kind)}."
    return f"{text} (--help shows the options)"


def _plain_type(kind: str) -> str:
    """A type of an error message in plain words."""
    kind = re.sub(r"<class '([\w.]+)'>", r"\1", kind).removeprefix("typing.").removeprefix("a ")
    if kind.startswith("Literal["):
        return "one of " + kind.removeprefix("Literal[").rstrip("]").replace("'", "")
    return {"int": "a whole number", "float": "a number"}.get(kind, kind)


def _help_format() -> type:
    from jsonargparse import DefaultHelpFormatter

    class Format(DefaultHelpFormatter):  # type: ignore[misc]
        """Wide enough to be read, and no wider than the terminal."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["max_help_position"] = 30
            kwargs["width"] = min(110, shutil.get_terminal_size().columns)
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

    return Format
