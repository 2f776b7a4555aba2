"""Does a test fail when the code is wrong? A seeded sample of mutants of the core, each put to the tests of its module.

Usage: python -m tests.mutants [--sample 200] [--seed 1] [--work FOLDER] [--only MODULE ...]
A copy of the tree is mutated, never the checkout. The session is kept under --work: the same command goes on where it
stopped. Needs `pip install cosmic-ray` beside the development environment. Mutants of annotations are left out: no
interpreter evaluates them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = {
    "slo/slo.py": "tests/slo",
    "slo/bounds.py": "tests/slo",
    "slo/quantiles.py": "tests/loadgen/test_statistics.py",
    "facts/tokens.py": "tests/facts/test_tokens.py",
    "wire/sse.py": "tests/wire",
    "wire/eventstream.py": "tests/wire",
    "loadgen/analysis/sequential.py": "tests/loadgen/test_search.py tests/slo",
    "capacity/quotas/quota.py": "tests/capacity/test_quota.py tests/capacity/test_pressure.py",
    "capacity/quotas/pressure.py": "tests/capacity/test_pressure.py",
    "capacity/cost/hours.py": "tests/capacity/test_hours.py",
    "capacity/cost/interaction.py": "tests/capacity/test_cost_lines.py tests/capacity/test_money.py",
    "capacity/cost/rates.py": "tests/capacity/test_money.py tests/capacity/test_bill.py",
    "capacity/fleet/sizing.py": "tests/capacity/test_fleet.py tests/capacity/test_properties.py",
    "emulator/quotas.py": "tests/emulator/test_quotas.py",
}
"""Module of the core -> the tests that specify it."""
BYTECODE = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""The first, unchanged run keeps what it compiles; those of mutants do not, since changes follow within a second."""
CONFIG = """[cosmic-ray]
module-path = [{modules}]
timeout = 1800.0
excluded-modules = []
test-command = '''{command}'''

[cosmic-ray.distributor]
name = "local"
"""


def main() -> None:
    """Sample, run what has not been run, and print the share killed with every survivor."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sample", type=int, default=200, help="mutants in all, spread over the modules by their number"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=ROOT / ".peakday" / "mutants")
    parser.add_argument("--only", nargs="*", default=sorted(CORE))
    arguments = parser.parse_args()
    try:
        from cosmic_ray.work_db import WorkDB, use_db
    except ImportError:
        raise SystemExit("cosmic-ray is absent; pip install cosmic-ray") from None
    work = arguments.work.resolve()
    tree = work / "tree"
    if not tree.exists():
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        for name in listed:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    killed, survived = 0, []
    for module in arguments.only:
        shutil.copyfile(ROOT / module, tree / module)  # an interrupted session leaves its mutant behind
        session = work / f"{module.replace('/', '.')}.sqlite"
        config = session.with_suffix(".toml")
        tests = f"{sys.executable} -m pytest -x -q -m 'not slow and not engine and not checkout' {CORE[module]}"
        # A mutant that loops for ever ends by the processor's time it used, so that a busy machine kills none.
        command = f'sh -c "ulimit -t 120; exec {tests}"'
        unchanged = subprocess.run(command, cwd=tree, env=BYTECODE, shell=True, capture_output=True, text=True)
        if unchanged.returncode:  # else every mutant of the module would be "killed"
            raise SystemExit(f"{unchanged.stdout[-2_000:]}\n{CORE[module]} fails before anything is changed")
        config.write_text(CONFIG.format(modules=f'"{module}"', command=command))
        if not session.exists():
            cosmic_ray("init", config, session, cwd=tree)
            with use_db(str(session), WorkDB.Mode.open) as db:
                keep_sample(db, arguments.sample // len(CORE), arguments.seed)
        cosmic_ray("exec", config, session, cwd=tree)
        with use_db(str(session), WorkDB.Mode.open) as db:
            for item, result in db.completed_work_items:
                if result.is_killed:
                    killed += 1
                else:
                    survived.append((module, item.mutations[0], result.diff or ""))
        print(f"{module}: {killed} killed and {len(survived)} survived so far", flush=True)
    for module, mutation, diff in survived:
        changed = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
        print(f"\nSURVIVED {module}:{mutation.start_pos[0]} {mutation.operator_name}\n" + "\n".join(changed))
    total = killed + len(survived)
    print(f"\n{killed} of {total} killed ({killed / max(1, total):.0%})")


def keep_sample(db: object, number: int, seed: int) -> None:
    """Leave a random sample of a session's mutants, without those of annotations."""
    items = [item for item in db.work_items if "BitOr" not in item.mutations[0].operator_name]  # type: ignore[attr-defined]
    items.sort(
        key=lambda item: (item.mutations[0].start_pos, item.mutations[0].operator_name, item.mutations[0].occurrence)
    )
    sample = random.Random(seed).sample(items, min(number, len(items)))
    db.clear()  # type: ignore[attr-defined]
    db.add_work_items(sample)  # type: ignore[attr-defined]


def cosmic_ray(verb: str, *arguments: Path, cwd: Path) -> None:
    """One command of cosmic-ray's, in the tree that it may change."""
    subprocess.run([sys.executable, "-m", "cosmic_ray.cli", verb, *map(str, arguments)], cwd=cwd, check=True)


if __name__ == "__main__":
    main()
