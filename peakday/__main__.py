"""`python -m peakday` is `peakday`."""

from peakday.cli import main

main()
