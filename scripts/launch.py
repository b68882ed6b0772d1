#!/usr/bin/env python
"""`python scripts/launch.py ...` is `kerasd2l launch ...`."""

from kerasd2l.cli import launch

if __name__ == "__main__":
    launch()
