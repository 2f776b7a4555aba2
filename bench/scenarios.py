"""Speed of scenarios/: rows of figure, reference and ratio. `python -m bench.scenarios` on an idle machine.

References of the same run and machine: a random generator per session (what drawing in blocks avoids), as many normal
numbers as a path draw has values (its lower bound), and the same pass over a tenth of a log.
"""

import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scenarios.arrivals import session_starts
from scenarios.loading import json_values, load_scenario
from scenarios.paths import draw_paths
from scenarios.sessions import SessionPlanner
from scenarios.shop import make_shop
from scenarios.traces.arrivals import survey
from scenarios.world import ensure_world, make_messages

Row = tuple[str, float, float]


def spent_s(run: Callable[[], object], repeats: int = 3) -> float:
    """CPU seconds of the shortest of a few repeats: what one core needs, whatever else the machine does."""
    times_s = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        times_s.append(time.process_time() - begin)
    return min(times_s)


def plans_per_s(count: int) -> Row:
    """Arrivals with their session plans, against making a generator per session and nothing else."""
    scenario = load_scenario(
        "prime_day", ["world.products=300", "world.customers=2000", "mix.customers.population=2000"]
    )
    values = json_values(scenario)
    shop = make_shop(scenario.world, scenario.event.start_utc, scenario.seed)
    messages = [message for message, _ in make_messages(scenario, shop)]

    def plan() -> None:
        planner = SessionPlanner(values, messages, seed=1)
        starts = session_starts(values, window=(43_200.0, 43_200.0 + count / 150), scale=1.0, seed=1)
        done = 0
        while done < count:
            step = min(4096, count - done)
            planner.block(done, done + step, np.resize(starts.region, count)[done : done + step])
            done += step

    def generators() -> None:
        for index in range(count):
            np.random.Generator(np.random.PCG64(np.random.SeedSequence([1, index])))

    return "sessions planned/s, arrivals included", count / spent_s(plan), count / spent_s(generators)


def path_draw_s(draws: int) -> Row:
    """1,000 paths of four days in three regions at one-minute grain, against drawing as many normal numbers."""
    values = json_values(load_scenario("prime_day"))
    rng = np.random.default_rng(1)
    wanted = draws * 3 * 4 * 1440
    reference = spent_s(lambda: rng.standard_normal(wanted, dtype=np.float32))
    return (
        f"seconds to draw {draws} paths of 4 days",
        spent_s(lambda: draw_paths(values, draws=draws, seed=1)),
        reference,
    )


def stream_memory_mb(rows: int) -> Row:
    """Peak memory of a pass over a log, against a pass over a tenth of it."""

    def peak_mb(count: int, path: Path) -> float:
        with path.open("w") as file:
            file.write("timestamp,input_tokens,output_tokens\n")
            file.writelines(f"{index / 10},{index % 900},{index % 90}\n" for index in range(count))
        tracemalloc.start()
        try:
            survey(path)
            return tracemalloc.get_traced_memory()[1] / 1e6
        finally:
            tracemalloc.stop()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        peak_mb(100, path)
        small = peak_mb(rows // 10, path)
        return f"peak MB over a log of {rows:,} rows", peak_mb(rows, path), small


def world_s(products: int) -> Row:
    """A whole world of so many products and four customers each, against five seconds."""
    people = products * 4
    sets = [f"world.products={products}", f"world.customers={people}", f"mix.customers.population={people}"]
    scenario = load_scenario("prime_day", sets)

    def make() -> None:
        with tempfile.TemporaryDirectory() as folder:
            ensure_world(scenario, Path(folder))

    return f"seconds to make a world of {products:,} products", spent_s(make, 1), 5.0


def rows(scale: float = 1.0) -> list[Row]:
    """Figure, measured, reference. scale < 1 for a smoke test."""
    return [
        plans_per_s(int(100_000 * scale)),
        path_draw_s(int(1_000 * scale)),
        stream_memory_mb(int(1_000_000 * scale)),
        world_s(int(5_000 * scale)),
    ]


def main() -> None:
    """Print the rows."""
    for name, value, reference in rows(float(os.environ.get("PEAKDAY_BENCH_SCALE", "1"))):
        print(f"{name:46s} {value:14,.3f} {reference:14,.3f} {value / reference:8.2f}x")


if __name__ == "__main__":
    main()
