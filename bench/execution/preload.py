"""Imported once by the server process that workers are forked from, so that no worker imports torch and timm again."""

import importlib
import warnings

MODULES = (
    "torch",
    "torch._dynamo",  # every optimiser asks for it on its first step
    "timm",
    "fvcore.nn.jit_analysis",
    "bench.models.cvt",
    "bench.execution.meter",
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of libraries among themselves; nothing a user could act on
    for name in MODULES:
        importlib.import_module(name)
