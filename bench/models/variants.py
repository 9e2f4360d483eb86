"""Models with arguments, `vit_mini[pos_embed=none]`: the grammar, and what each mini model takes. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.errors import UsageError, did_you_mean

Value = str | int | bool
Choices = tuple[Value, ...] | range


@dataclass(frozen=True)
class Argument:
    """One argument of a builder."""

    default: Value
    """Its value where it is not named."""
    choices: Choices
    """The values it takes."""


MINI_ARGUMENTS: Mapping[str, Mapping[str, Argument]] = {
    "resnet_mini": {"depth": Argument(4, range(1, 17))},
    "vit_mini": {
        "depth": Argument(4, range(1, 17)),
        "pos_embed": Argument("learned", ("none", "learned", "sincos1d", "sincos2d", "relative")),
        "pool": Argument("cls", ("cls", "mean")),
        "overlap": Argument(False, (False, True)),
    },
    "swin_mini": {
        "depth": Argument(4, range(1, 17)),
        "shift": Argument(True, (True, False)),
        "bias": Argument("relative", ("none", "absolute", "relative")),
    },
    "cvt_mini": {
        "depth": Argument(5, range(1, 17)),
        "kv_stride": Argument(2, (1, 2)),
        "pool": Argument("cls", ("cls", "mean")),
    },
    "lstm_mini": {"depth": Argument(3, range(1, 17))},
}
"""Arguments of the builders in `bench.models.mini`: `depth` is the number of blocks in all."""


def split_models(text: str) -> list[str]:
    """The names of a comma-separated list; commas inside brackets belong to a name."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]


def parse_variant(name: str) -> tuple[str, dict[str, Value]]:
    """`base[key=value,…]` → the base's name and its arguments; no arguments without brackets.

    Raises UsageError for text that is no such name, for an unknown argument and for a value out of its range.
    """
    found = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[([^\[\]]*)\])?\s*", name)
    if found is None:
        raise UsageError(f"model {name!r} is not of the form name[argument=value,…].")
    base, inside = found.group(1), found.group(2)
    arguments: dict[str, Value] = {}
    for part in (inside or "").split(","):
        if not part.strip():
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise UsageError(f"model {name!r}: {part.strip()!r} is not of the form argument=value.")
        if key in arguments:
            raise UsageError(f"model {name!r} has the argument {key!r} twice.")
        arguments[key] = _value(name, base, key, value)
    return base, arguments


def canonical(base: str, arguments: Mapping[str, Value]) -> str:
    """The one spelling of a variant: arguments by name, those at their default left out."""
    known = MINI_ARGUMENTS.get(base, {})
    told = {key: value for key, value in sorted(arguments.items()) if key not in known or value != known[key].default}
    inside = ",".join(f"{key}={_spelled(value)}" for key, value in told.items())
    return f"{base}[{inside}]" if inside else base


def _value(name: str, base: str, key: str, text: str) -> Value:
    known = MINI_ARGUMENTS.get(base)
    if known is None:
        raise UsageError(f"model {name!r}: {base} takes no arguments in brackets; {_enumerated(MINI_ARGUMENTS)} do.")
    if key not in known:
        raise UsageError(
            f"model {name!r}: {base} has no argument {key!r}.{did_you_mean(key, known)} It has {_enumerated(known)}."
        )
    choices = known[key].choices
    value = next((choice for choice in choices if _spelled(choice) == text.lower()), None)
    if value is None:
        allowed = f"{choices[0]} to {choices[-1]}" if isinstance(choices, range) else ", ".join(map(_spelled, choices))
        raise UsageError(f"model {name!r}: {key} is {allowed}, not {text!r}.")
    return value


def _spelled(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _enumerated(names: Iterable[str]) -> str:
    return ", ".join(names)
