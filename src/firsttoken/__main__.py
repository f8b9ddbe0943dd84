"""``python -m firsttoken``."""

from firsttoken.cli import main

main()
