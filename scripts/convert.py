#!/usr/bin/env python
"""`python scripts/convert.py ...` is `kerasd2l convert ...`."""

from kerasd2l.cli import convert

if __name__ == "__main__":
    convert()
