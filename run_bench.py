#!/usr/bin/env python3
"""The door: everything happens in bench.cli."""

import sys

from bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
