"""`make bench`: every benchmark of the project, as ratios against a reference in the same run.

Usage: python -m bench [NAME ...], with the names of the modules of this folder. Run it on an idle machine.
"""

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Run the named benchmarks, or all."""
    known = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    wanted = sys.argv[1:] or known
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise SystemExit(f"no benchmark named {unknown[0]}; known: {', '.join(known)}")
    for name in wanted:
        print(f"== {name}", flush=True)
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
