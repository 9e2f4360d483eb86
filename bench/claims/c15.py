"""C15: patch_size = (image_size − kernel_size)/stride."""

from __future__ import annotations

from bench.claims.ablation import judged
from bench.claims.arms import VIT, variant
from bench.claims.claim import Check, Claim, Judgement, Look
from bench.claims.contrast import difference
from bench.claims.evidence import Evidence

OVERLAP = variant(VIT, "overlap=true")
PLAIN = Look("patch_count", "vit_ti16", img_size=224, num_classes=1000)
LOOKS = {
    PLAIN: (16, 16, 0),
    Look("patch_count", "cvt_13", img_size=64, num_classes=10): (7, 4, 2),
    Look("patch_count", OVERLAP.model): (7, 4, 2),
}
"""The models whose patches are counted, with the kernel, stride and padding that their papers give, or the mini's."""


def _formula(side: int, kernel: int, stride: int, padding: int) -> int:
    return (side + 2 * padding - kernel) // stride + 1


def _judge(evidence: Evidence) -> Judgement:
    plain = evidence.values(PLAIN)
    checks = [
        Check(
            "⌊(H + 2p − k)/s⌋ + 1 is the number of patches a side, on real convolutions",
            plain["mismatches"] == 0 and plain["cases"] > 0,
            f"{plain['mismatches']} mismatches in {plain['cases']} cases",
        ),
        Check(
            "(H − k)/s is not",
            plain["notes_wrong"] > 0,
            f"wrong in {plain['notes_wrong']} of {plain['cases']} cases",
        ),
        Check(
            "224 px in patches of 16 are 14 a side and 196 in all, where the notes' formula gives 13",
            (plain["side"], plain["patches"], plain["notes"]) == (14, 196, 13.0),
            f"{plain['side']} a side, {plain['patches']} in all; the notes' formula {plain['notes']:g}",
        ),
    ]
    for look, (kernel, stride, padding) in LOOKS.items():
        values = evidence.values(look)
        sides, counts = values["own_sides"], values["own_counts"]
        wrong = sum(count != _formula(side, kernel, stride, padding) for side, count in zip(sides, counts, strict=True))
        checks.append(
            Check(
                f"{look.model}: the formula holds for kernel {kernel}, stride {stride}, padding {padding}",
                bool(sides) and not wrong,
                f"{values['side']} a side here; wrong at {wrong} of {len(sides)} image sizes",
            )
        )
    found = difference(evidence, OVERLAP, VIT)
    texts = (
        f"Per side ⌊(H + 2p − k)/s⌋ + 1 = {plain['side']} for 224/16/16, and it is a count, not a size; patches that "
        f"overlap minus patches that do not, equally many: {found.words}.",
        "The formula of the notes forgets the padding, the rounding and the first patch, and calls a count a size. The "
        "notes should have written the number of patches a side.",
    )
    return judged(
        checks,
        found,
        texts,
        title="Patches of ViT",
        name="overlapping minus plain patches, 64 each",
        label="overlapping minus plain",
    )


CLAIM = Claim(
    id="C15",
    title="Number of patches",
    korean="patch_size = (image_size − kernel_size)/stride",
    english="patch_size = (image_size − kernel_size)/stride",
    hypothesis="Wrong as said: per side there are ⌊(H + 2p − k)/s⌋ + 1 patches, 14 for 224/16/16; and overlapping "
    "patches at an equal number of tokens change accuracy by less than 1 point.",
    kind="S+M",
    models="vit_ti16 and cvt_13 for the count; vit_mini with plain and overlapping patches",
    controls="plain patches of the same number",
    statistics="formula against real modules over a grid of H, k, s and p; difference of top-1, hierarchical and "
    "paired, two one-sided tests",
    rule="refuted if an exact statement fails or the difference is surely beyond ±1 point; supported if it is "
    "equivalent within ±1 point; inconclusive otherwise",
    judge=_judge,
    arms=(VIT, OVERLAP),
    looks=tuple(LOOKS),
)
