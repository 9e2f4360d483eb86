"""Which part of every batch one process has, where several train one model together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Share:
    """One of `ranks` processes, each with a consecutive part of every batch; alone by default.

    With more than one, torch's process group must be there before anything is gathered.
    """

    rank: int = 0
    ranks: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.ranks == 1

    def of(self, count: int) -> slice:
        """This process's part of `count` things; parts differ by one at most."""
        return slice(count * self.rank // self.ranks, count * (self.rank + 1) // self.ranks)

    def whole(self, part: Tensor) -> Tensor:
        """The parts of all processes, which must be equally long, as one tensor. Without gradients."""
        if self.alone:
            return part
        import torch
        from torch import distributed

        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.ranks)]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    def each(self, value: Any) -> list[Any]:
        """A picklable value of every process, by rank."""
        if self.alone:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.ranks
        distributed.all_gather_object(values, value)
        return values


ALONE = Share()
"""One process that has every batch whole."""
