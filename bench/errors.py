"""What a user did wrong, said in one line: what it is and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Bad input. Its message is one complete line; the command prints it and exits with 2."""


def first_line(error: BaseException) -> str:
    """What an error says, in its first line; the name of its class where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest(word: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """The `count` choices most similar to `word`, best first; empty where none is similar."""
    return difflib.get_close_matches(word.lower(), list(dict.fromkeys(choices)), n=count, cutoff=0.5)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """` Did you mean a, b?`, or an empty string where nothing is similar."""
    matches = nearest(word, choices)
    return f" Did you mean {', '.join(matches)}?" if matches else ""
