#!/usr/bin/env python
"""`python scripts/export.py ...` is `kerasd2l export ...`."""

from kerasd2l.cli import export

if __name__ == "__main__":
    export()
