"""With pytest-xdist, a file is collected by the one process that runs it: its tests are found when its turn comes.

Of itself every process of pytest-xdist collects every test. Here each collects `Part`s of files in their place, which
the controller deals out; a part finds its file's tests and runs them as pytest does. So that what the tests of a file
share is made once, a file has one part, or a few where its tests share nothing and take long.
"""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SYSTEM = (
    "peakday/test_end_to_end", "loadgen/test_run", "assistant/test_stack", "loadgen/test_shown_verdicts",
    "peakday/test_bad_input", "loadgen/test_play", "loadgen/test_shown_schedule", "loadgen/test_targets",
    "peakday/test_real_models", "emulator/test_void", "loadgen/test_beginnings", "loadgen/test_shown_beginning",
    "emulator/test_process", "loadgen/test_shown_guards", "loadgen/test_credentials", "loadgen/test_workers",
    "loadgen/test_shown_impatience", "peakday/account/test_verify", "loadgen/test_verdict", "neuron_bench/test_deploy",
    "peakday/test_judging", "peakday/gate/test_builds", "peakday/gate/test_sides", "peakday/gate/test_end_to_end",
    "assistant/test_region_loss", "deploy/test_kubernetes", "loadgen/test_lending", "loadgen/test_rules",
    "loadgen/test_endings", "loadgen/test_engine", "loadgen/test_shown_autobuy", "loadgen/test_shown_stall",
    "peakday/test_demo", "peakday/test_extension", "peakday/test_stack", "peakday/account/test_commands",
    "emulator/test_boto3", "emulator/test_openai_package", "neuron_bench/test_packaging",
)  # fmt: skip
"""Modules whose tests start processes of ours or put load on a server: marked `system`, the longest first; every other
test is `unit`."""
LONG = (
    "dashboards/test_untrusted", "capacity/test_relations", "capacity/test_signed_plan", "capacity/test_limits",
    "peakday/test_canary", "capacity/test_plan_small", "peakday/test_no_packet_leaves", "assistant/test_autobuy",
    "capacity/test_replay", "capacity/test_calibration", "deploy/test_plan_alerts", "dashboards/test_report",
    "test_architecture", "test_bad_files", "scenarios/test_traces", "capacity/test_cache", "capacity/test_engine",
    "capacity/test_overflow", "capacity/test_clients", "study/test_accelerators", "assistant/test_shop_model",
    "deploy/test_alerts", "peakday/ready/test_ready", "capacity/test_bill", "dashboards/test_spreadsheet",
)  # fmt: skip
"""Of the others those that take the longest, by their CPU seconds."""
PARTS = {
    "loadgen/test_run": 6,
    "peakday/test_bad_input": 6,
    "loadgen/test_play": 4,
    "loadgen/test_targets": 4,
}
"""Long files of tests that share nothing, and into how many parts they are cut."""


class Lazy(pytest.File):
    """A file that its parts import. It hangs below the session: no folder is set up for what may hold no test."""

    @classmethod
    def make(cls, path: Path, folder: pytest.Collector) -> "Lazy":
        lazy = cls.from_parent(folder.session, path=path)
        lazy.folder, lazy.parts = folder, PARTS.get(stem(path), 1)
        return lazy

    def collect(self) -> Iterator[pytest.Item]:
        for number in range(self.parts):
            yield Part.from_parent(self, name=f"part {number + 1} of {self.parts}", number=number)


class Part(pytest.Item):
    """Every n-th test of a file that has n parts."""

    def __init__(self, *, number: int, **more: object) -> None:
        super().__init__(**more)
        self.number = number

    def tests(self) -> list[pytest.Item]:
        """The part's tests that the command line selects."""
        module = pytest.Module.from_parent(self.parent.folder, path=self.path)
        gc.disable()  # nothing of what is imported is garbage
        items = list(self.session.genitems(module))[self.number :: self.parent.parts]
        gc.enable()
        self.config.hook.pytest_collection_modifyitems(session=self.session, config=self.config, items=items)
        return items

    def runtest(self, following: pytest.Item | None = None) -> None:
        """Run the tests, each in this part's place among the session's items: xdist reports by place."""
        items, place = self.session.items, self.session.items.index(self)
        tests = self.tests()
        for test, after in zip(tests, [*tests[1:], following], strict=False):
            items[place] = test
            self.ihook.pytest_runtest_protocol(item=test, nextitem=after)
            if self.session.shouldfail or self.session.shouldstop:
                break
        items[place] = self


def stem(path: Path) -> str:
    """How the tables above name a file."""
    return path.relative_to(HERE).with_suffix("").as_posix()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Lazy | None:
    """In a process of pytest-xdist, leave a file for later; unless single tests were asked for."""
    single = any("::" in argument for argument in parent.config.args)
    return Lazy.make(module_path, parent) if hasattr(parent.config, "workerinput") and not single else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if not isinstance(item, Part):
        return None
    item.runtest(nextitem)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Files that were dealt out and held no test that was asked for are no success."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if (
        session.exitstatus == pytest.ExitCode.OK
        and reporter
        and not reporter.stats
        and session.config.option.dist != "no"
    ):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark every test as `unit` or `system`, and let no mark deselect a part."""
    for item in items:
        item.add_marker(pytest.mark.system if stem(item.path) in SYSTEM else pytest.mark.unit)
    parts = [item for item in items if isinstance(item, Part)]
    items[:] = [item for item in items if not isinstance(item, Part)]
    yield
    items.extend(in_turn(parts))


def in_turn(parts: list[Part]) -> list[Part]:
    """Those of the `system` wait for servers, the others compute: mixed evenly, each kind's longest first."""
    order = {name: place for names in (SYSTEM, LONG) for place, name in enumerate(names)}
    parts = sorted(parts, key=lambda part: order.get(stem(part.path), len(order)))
    system = [part for part in parts if stem(part.path) in SYSTEM]
    others = [part for part in parts if stem(part.path) not in SYSTEM]
    placed = [(i / len(kind), part) for kind in (system, others) for i, part in enumerate(kind)]
    return [part for _, part in sorted(placed, key=lambda pair: pair[0])]
