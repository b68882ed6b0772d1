#!/usr/bin/env python
"""`python scripts/evaluate.py ...` is `kerasd2l evaluate ...`."""

from kerasd2l.cli import evaluate

if __name__ == "__main__":
    evaluate()
