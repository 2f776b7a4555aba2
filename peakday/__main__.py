"""`python -m peakday` is `peakday`, and where both begin."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the command is loaded, Ctrl-C ends it without a traceback

from peakday.cli import main

if __name__ == "__main__":
    main()
