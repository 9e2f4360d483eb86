"""Imported once by the server process that workers are forked from, so that no worker imports torch again."""

import bench.execution.cells
import bench.models.build  # noqa: F401
