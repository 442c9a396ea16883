"""``python -m stablegrad``: the command line."""

from stablegrad.cli import main

main()
