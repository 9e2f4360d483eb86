"""A made-up study of many models whose records and predictions are held in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.splits import dev_counts, resolve_train_sizes
from bench.protocol import PRESETS
from bench.store import Records, cell_id
from tests.samples import DATA, Fake, make_cell, make_metrics, make_predictions, make_run, make_train, model_info


@dataclass(frozen=True)
class InMemory(Records):
    """Records whose predictions are held in memory, so that no file is read."""

    kept: dict[str, NDArray[np.int16]] = field(default_factory=dict)
    label: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, dtype=np.int16))

    def predictions(self, run_id: str, names: Collection[str] | None = None) -> dict[str, NDArray[np.generic]]:
        return {"index": np.arange(len(self.label)), "label": self.label, "prediction": self.kept[run_id]}


def large_study(models: int, images: int = 1000) -> InMemory:
    """`models` models × 5 train sizes × 3 seeds; they get 50 to 95 % of the images right."""
    protocol = replace(PRESETS["quick"], seeds=(0, 1, 2), train_sizes=(0.05, 0.1, 0.25, 0.5, 1.0))
    available = DATA.n_train - sum(dev_counts(DATA.train_counts, protocol.dev_fraction))
    sizes = sorted(resolve_train_sizes(protocol.train_sizes, available))
    data = DATA.model_copy(update={"n_test": images})
    label, prediction = make_predictions(10, images, 0.9, (0,))
    metrics = make_metrics(label, prediction, data)
    shared = {"protocol": protocol.to_dict(), "data": data, "train": make_train()}
    runs, kept = [], {}
    for k in range(models):
        fake = Fake(f"model_{k:04d}", 0.95 - 0.45 * k / models)
        base = make_run(**shared, model=model_info(fake, protocol.img_size))
        for position, size in enumerate(sizes):
            for seed in protocol.seeds:
                cell = make_cell(model=fake.name, protocol_id=protocol.id, train_size=size, seed=seed)
                wanted = fake.top1 - 0.04 * (len(sizes) - 1 - position)
                _, prediction = make_predictions(10, images, wanted, (k, position, seed))
                test = metrics.model_copy(update={"top1": float((label == prediction).mean())})
                runs.append(base.model_copy(update={"cell": cell, "id": cell_id(cell), "test": test}))
                kept[runs[-1].id] = prediction.astype(np.int16)
    return InMemory(Path(), runs, [], [], kept=kept, label=label.astype(np.int16))
