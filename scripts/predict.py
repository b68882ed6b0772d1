#!/usr/bin/env python
"""`python scripts/predict.py ...` is `kerasd2l predict ...`."""

from kerasd2l.cli import predict

if __name__ == "__main__":
    predict()
