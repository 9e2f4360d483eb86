"""Reading a traced graph: shapes, constants, and which of its values are made from the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.measure.operators import BLANK

Value = Any
"""A value of a traced graph, `torch._C.Value`."""


class Origins:
    """Tells which values of one traced graph are made from its image, its first input; the others are the weights.

    A value is made from the image if any input of its operator is. What an operator writes in place into a view is
    not followed beyond that view.
    """

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def image(self, value: Value) -> bool:
        """Whether the content of a value comes from the image."""
        waiting = [value]
        while waiting:
            top = waiting[-1]
            name, node = top.debugName(), top.node()
            if name in self._known:
                waiting.pop()
                continue
            operator = node.kind()
            if operator == "prim::Param":
                self._known[name] = name == next(iter(node.outputs())).debugName()
                continue
            inputs = [] if operator.removeprefix("aten::") in BLANK else list(node.inputs())
            unknown = [i for i in inputs if i.debugName() not in self._known]
            if unknown:
                waiting.extend(unknown)
            else:
                self._known[name] = any(self._known[i.debugName()] for i in inputs)
        return self._known[value.debugName()]


class Call:
    """One call of an operator in a traced graph."""

    def __init__(self, inputs: Sequence[Value], outputs: Sequence[Value], origins: Origins) -> None:
        self.inputs, self.outputs, self._origins = inputs, outputs, origins

    @property
    def module(self) -> str:
        """Name of the module whose forward pass makes the call; the model itself is the empty string."""
        scope: str = self.outputs[0].node().scopeName()
        return scope.rpartition("/")[2]

    def out(self) -> list[int]:
        """Shape of the first result."""
        return self.shape_of(self.outputs[0])

    def shape(self, index: int) -> list[int]:
        """Shape of input number `index`."""
        return self.shape_of(self.inputs[index])

    @staticmethod
    def shape_of(value: Value) -> list[int]:
        """Shape of a tensor. Raises ValueError where the trace does not hold it."""
        kind = value.type()
        sizes = kind.sizes() if kind.kind() == "TensorType" else None
        if sizes is None:
            raise ValueError(f"the trace holds no shape for {value.debugName()}")
        return [int(n) for n in sizes]

    def constant(self, index: int) -> Any:
        """A number, word or switch that stands in the trace as it is."""
        return self.inputs[index].toIValue()

    def items(self, index: int) -> list[Value]:
        """Members of a list of tensors."""
        return list(self.inputs[index].node().inputs())

    def numbers(self, index: int) -> list[int]:
        """Members of a list of integers."""
        whole = self.inputs[index].toIValue()
        return [int(n) for n in (whole if whole is not None else (v.toIValue() for v in self.items(index)))]

    def is_none(self, index: int) -> bool:
        """Whether an optional input was left out."""
        return bool(self.inputs[index].type().kind() == "NoneType")

    def is_list(self, index: int) -> bool:
        """Whether an input is a list made on the spot."""
        return bool(self.inputs[index].node().kind() == "prim::ListConstruct")

    def same(self, first: int, second: int) -> bool:
        """Whether two inputs are one value."""
        return bool(self.inputs[first].debugName() == self.inputs[second].debugName())

    def depends(self, index: int) -> bool:
        """Whether input number `index` is made from the image."""
        return self.depends_on(self.inputs[index])

    def depends_on(self, value: Value) -> bool:
        """Whether a value is made from the image."""
        return self._origins.image(value)

    def read(self, *indices: int) -> int:
        """Elements of those inputs that are made from the image."""
        total = 0
        for index in indices:
            if self.depends(index):
                elements = 1
                for n in self.shape(index):
                    elements *= n
                total += elements
        return total
