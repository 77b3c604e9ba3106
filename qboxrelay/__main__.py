"""`python -m qboxrelay` is `qboxrelay`."""

from qboxrelay.cli import main

main()
