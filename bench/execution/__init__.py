"""The only place that runs cells: the worker process and the local launcher."""
