#!/usr/bin/env python
"""`python scripts/train.py ...` is `kerasd2l train ...`."""

from kerasd2l.cli import train

if __name__ == "__main__":
    train()
