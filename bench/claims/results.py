"""What a lab found, ready to be shown: every claim with its judgement, and what all of them rest on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.claims.claim import MAIN, Claim, Judgement, Verdict
from bench.data.info import DataInfo
from bench.protocol import Protocol
from bench.records import Environment

FOLDER = "claims"
"""Folder of the lab's runs, probes and figures below the output folder."""
VERDICTS: tuple[Verdict, ...] = ("supported", "refuted", "inconclusive", "not testable here", "by structure")
"""The vocabulary, in the order in which verdicts are counted."""


@dataclass(frozen=True)
class Result:
    """One claim, judged."""

    claim: Claim
    """What was tested, and by which rule."""
    judgement: Judgement
    """What the rule makes of it."""
    records: tuple[str, ...] = ()
    """Folders of the runs and probes that are the evidence, relative to the lab's folder."""


@dataclass(frozen=True)
class Lab:
    """All claims that were asked for."""

    results: tuple[Result, ...]
    """By the claims' ids."""
    protocols: Mapping[str, Protocol]
    """The protocol of each task."""
    data: Mapping[str, DataInfo]
    """The dataset of each task."""
    sizes: Mapping[str, Sequence[int]]
    """Train sizes of each task as counts, ascending."""
    hardware: str
    """The device, its threads and its arithmetic in words."""
    command: str
    """The exact command line."""
    created: str
    """UTC time of the latest call, ISO 8601."""
    seconds: float
    """Wall time of that call; what was there before it was not made again."""
    trainings: int
    """Trainings that the claims rest on, learning-rate trials included."""
    probes: int
    """Probes that they rest on."""
    environments: tuple[Environment, ...] = ()
    """Machine and software of all records, each once."""

    @property
    def main(self) -> Protocol:
        """The protocol of the main task."""
        return self.protocols[MAIN]

    @property
    def exploratory(self) -> bool:
        """Whether there are too few seeds to tell a model's luck from its merit."""
        return self.main.exploratory

    def count(self) -> dict[Verdict, int]:
        """How many claims have each verdict, in the order of the vocabulary; none that has no claim."""
        found = Counter(result.judgement.verdict for result in self.results)
        return {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}
