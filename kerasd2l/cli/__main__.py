"""`python -m kerasd2l.cli` is `kerasd2l`."""

from kerasd2l.cli import main

if __name__ == "__main__":
    main(prog_name="kerasd2l")
