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
from bench.protocol import PRESETS, Protocol
from bench.study import COST_ONLY_PX, Study

LISTS = ("models", "train_sizes", "seeds", "checkpoint", "plugins", "batch_sizes")
"""Options that take several values with commas between them."""
SPELLINGS = {"lr_trials": ["--lr-trials"], "checkpoint": ["--checkpoint", "--initial-checkpoint"]}
"""Option names where they are not just the field's name with dashes."""
COST = ("cost_only", "channels_last", "compile", "batch_sizes", "time_budget")
"""Fields of the study that decide how cost is measured."""
EPILOG = """\
exit codes: 0 all done; 1 some cells failed, board written; 2 usage; 130 interrupted (the same command goes on)
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
    verbosity: int = 0
    """-1 quiet, 0 normal, 1 verbose."""


def parse(argv: Sequence[str]) -> Options | None:
    """Options from `argv`; None where help or the configuration was printed. Raises UsageError."""
    from jsonargparse import ArgumentError

    arguments = _bracket_lists(list(argv))
    parser = _parser(*_early(arguments))
    try:
        values = parser.parse_args(arguments)
    except ArgumentError as error:
        raise UsageError(_one_line(str(error), parser)) from error
    except SystemExit as stop:
        if stop.code:
            raise UsageError("the command line could not be read; --help shows the options.") from stop
        return None
    return _options(values.as_dict())


def _parser(preset: str, cost_only: bool) -> Any:
    """The parser with the defaults of `preset`, and of `--cost-only` where that is asked for."""
    from jsonargparse import ArgumentParser

    defaults = PRESETS[preset]
    if cost_only:
        defaults = dataclasses.replace(defaults, img_size=COST_ONLY_PX)

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
    _add_field(what, Study, "models", Study().models)
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
        default=preset,
        help="Preset that the options below refine: smoke (seconds), quick (default on a CPU), "
        "standard (default on a GPU), imagenet.",
    )
    for field in dataclasses.fields(Protocol):
        _add_field(protocol, Protocol, field.name, getattr(defaults, field.name))
    for field in dataclasses.fields(Study):
        if field.name not in ("models", "protocol"):
            _add_field(cost if field.name in COST else what, Study, field.name, field.default)
    show.add_argument("--report-only", action="store_true", help="Redraw the board from the records; run nothing.")
    show.add_argument("--dry-run", action="store_true", help="Print the plan: cells, steps, time, what is done.")
    show.add_argument("--json", action="store_true", help="Print JSON instead of tables.")
    show.add_argument("-v", "--verbose", action="store_true", help="Say more on stderr.")
    show.add_argument("-q", "--quiet", action="store_true", help="Say only warnings on stderr.")
    return parser


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


def _options(values: dict[str, Any]) -> Options:
    """Build the typed options from parsed values; the dataclasses check them."""
    protocol = Protocol(**{f.name: values[f.name] for f in dataclasses.fields(Protocol)})
    of_study = {f.name: values[f.name] for f in dataclasses.fields(Study) if f.name != "protocol"}
    return Options(
        study=Study(protocol=protocol, **of_study),
        list_models=values["list_models"],
        report_only=values["report_only"],
        dry_run=values["dry_run"],
        json=values["json"],
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
    if name in ("models", "checkpoint", "plugins"):
        return json.dumps(parts)
    return "[" + ", ".join(parts) + "]"


def _early(argv: list[str]) -> tuple[str, bool]:
    """What decides the defaults: the preset (by the hardware if nobody names one), and whether it is cost only."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--protocol")
    early.add_argument("--config")
    early.add_argument("--device")
    early.add_argument("--cost-only", action="store_true")
    try:
        known, _ = early.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}; --help shows the options.") from error
    asked = known.protocol
    in_file = _read_config(Path(known.config)) if known.config else {}
    asked = asked or in_file.get("protocol")
    if asked is None:
        from bench.measure.hardware import detect

        device = known.device or in_file.get("device") or "auto"
        asked = "standard" if detect(str(device), "auto").device.startswith("cuda") else "quick"
    if asked not in PRESETS:
        raise UsageError(f"unknown protocol {asked!r}: choose from {', '.join(PRESETS)}.{did_you_mean(asked, PRESETS)}")
    return str(asked), known.cost_only or in_file.get("cost_only") is True


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
