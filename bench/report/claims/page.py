"""`claims.md`: the verdicts first, then every claim with its rule, its evidence and what the notes should have said."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

from bench.claims.claim import MAIN, Claim, Judgement
from bench.claims.results import FOLDER, Lab, Result
from bench.report.claims.words import (
    deciding,
    detectable_words,
    interval_words,
    nature,
    p_words,
    signed,
    takeaway,
    value_words,
)
from bench.report.markdown.stamp import software
from bench.report.words import code_block, listing, pipe_table, plain, plural, setting, text_table

HOW = (
    "A verdict is on the hypothesis that stands with each claim, not on the words of the notes. Every rule, with its "
    "threshold and direction, stood in the code before the run and is printed with its verdict. Intervals are 95 %, "
    "over seeds and test images at once. C03 to C06 were fixed beforehand as confirmatory and share one Holm "
    "correction; all others explore. A verdict says what was observed together, not what brought it about."
)
_SIGNS = "✓ supported · ✗ refuted · ? inconclusive: the interval holds both · – not testable here · ≡ by structure"


def claims_page(lab: Lab, problems: Sequence[str] = ()) -> str:
    """The whole of `claims.md`; `problems` are records that could not be read."""
    parts = ["# What is said about inductive bias, tested", takeaway(lab)]
    if lab.exploratory and any(result.claim.kind != "S" for result in lab.results):
        parts.append(
            f"**Exploratory:** {plural(len(lab.main.seeds), 'seed')}, where confirmatory claims need three; with one "
            "seed intervals are test-set uncertainty only."
        )
    parts += [verdict_table(lab), _SIGNS, HOW, stamp(lab)]
    parts += [_section(result) for result in lab.results]
    if problems:
        parts.append("## Records left out\n\n" + "\n".join(f"- {plain(problem)}" for problem in problems))
    return "\n\n".join(parts) + "\n"


def terminal_table(lab: Lab, asked: Collection[str]) -> str:
    """The verdicts of the claims in `asked` for a terminal, and the takeaway."""
    rows = [
        [
            result.claim.id,
            "\n".join(textwrap.wrap(result.claim.english, 40)),
            signed(result.judgement.verdict),
            "\n".join(textwrap.wrap(deciding(result.judgement), 44)),
        ]
        for result in lab.results
        if result.claim.id in asked
    ]
    return f"{text_table(['claim', 'the notes say', 'verdict', 'what decided'], rows)}\n\n{takeaway(lab)}"


def verdict_table(lab: Lab, below: str = "") -> str:
    """The table of verdicts in Markdown; `below` is the path of the page that the ids link into."""
    rows = [
        [
            f"[{result.claim.id}]({below}#{anchor(result.claim)})",
            plain(result.claim.english),
            signed(result.judgement.verdict),
            plain(deciding(result.judgement)),
            nature(result.claim),
        ]
        for result in lab.results
    ]
    return pipe_table(["claim", "the notes say", "verdict", "what decided", "kind"], rows)


def anchor(claim: Claim) -> str:
    """The fragment of a claim's section, as GitHub makes it from the heading."""
    kept = "".join(c for c in heading(claim).lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")


def heading(claim: Claim) -> str:
    """`C04 The right bias saves data`."""
    return f"{claim.id} {claim.title}"


def stamp(lab: Lab) -> str:
    """What was run, on what, by which command."""
    lines = [f"- **{plain(label)}**: {plain(text)}" for label, text in facts(lab)]
    return "\n".join(lines) + f"\n\n{code_block([lab.command])}"


def facts(lab: Lab) -> list[tuple[str, str]]:
    """(label, text) of every fact that the numbers depend on."""
    protocol = lab.main
    found = []
    for task, info in lab.data.items():
        sizes = listing([f"{size:,}" for size in lab.sizes.get(task, ())])
        name = "Main task" if task == MAIN else "Task"
        found.append(
            (
                name,
                f"{info.dataset}, {len(info.classes):,} classes, {plural(info.n_test, 'test image')}"
                + (f", train sizes {sizes}" if sizes else ""),
            )
        )
    found.append(
        (
            "Protocol",
            f"{protocol.preset} {protocol.short_id}, {_budget(lab)} per run, batch {protocol.batch_size}, "
            f"{plural(protocol.lr_trials, 'learning rate')} around {setting(protocol.lr)} tried for every arm, "
            f"{protocol.img_size} px, augmentation {protocol.augment}, seeds {', '.join(map(str, protocol.seeds))}",
        )
    )
    found.append(("Machine", lab.hardware))
    found.append(
        (
            "Evidence",
            f"{plural(lab.trainings, 'training')} and {plural(lab.probes, 'probe')}, each made once however many "
            "claims ask for it",
        )
    )
    if lab.environments:
        found.append(("Software", software(lab.environments)))
    return found


def _budget(lab: Lab) -> str:
    p = lab.main
    return f"{p.epochs:g} epochs" if p.epochs else f"{plural(p.samples_seen, 'image')} seen"


def _section(result: Result) -> str:
    claim, judgement = result.claim, result.judgement
    confirmed = p_words(judgement)
    parts = [
        f"## {heading(claim)}",
        f"> {plain(claim.korean)}\n>\n> {plain(claim.english)}",
        f"**{signed(judgement.verdict)}.** {plain(judgement.reason)}" + (f" {confirmed}." if confirmed else ""),
        plain(judgement.meaning),
    ]
    if judgement.needed:
        parts.append(f"*To decide it:* {plain(judgement.needed)}")
    if judgement.chart is not None:
        parts.append(f"![{plain(alternative(claim, judgement))}]({FOLDER}/{claim.id}.svg)")
    if judgement.findings:
        parts.append(_findings(judgement))
    if judgement.checks:
        parts.append(_checks(judgement))
    parts.append("\n".join(f"- **{label}**: {plain(text)}" for label, text in method(claim)))
    if result.records:
        listed = "\n".join(f"- `{FOLDER}/{path}`" for path in result.records)
        told = f"{plural(len(result.records), 'record')} behind it"
        parts.append(f"<details>\n<summary>{told}</summary>\n\n{listed}\n\n</details>")
    return "\n\n".join(parts)


def method(claim: Claim) -> list[tuple[str, str]]:
    """(label, text) of how a claim is tested."""
    found = [
        ("Hypothesis", claim.hypothesis),
        ("Models", claim.models),
        ("Beside it", claim.controls),
        ("Statistics", claim.statistics),
        ("Rule", claim.rule),
    ]
    return found + ([("After", "; ".join(claim.sources))] if claim.sources else [])


def alternative(claim: Claim, judgement: Judgement) -> str:
    """What stands for the figure where it is not seen: its title and the numbers."""
    title = judgement.chart.title if judgement.chart is not None else claim.title
    return f"{title}. {judgement.reason}"


def _findings(judgement: Judgement) -> str:
    rows = [
        [
            plain(finding.name) + (" (control)" if finding.control else ""),
            value_words(finding),
            interval_words(finding),
            detectable_words(finding),
        ]
        for finding in judgement.findings
    ]
    return pipe_table(["measured", "value", "95 % interval", "smallest effect visible"], rows, right=(1, 2, 3))


def _checks(judgement: Judgement) -> str:
    rows = [["✓" if check.holds else "✗", plain(check.statement), plain(check.measured)] for check in judgement.checks]
    return pipe_table(["holds", "exact statement", "measured"], rows)
