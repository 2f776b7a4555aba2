"""One word for one thing: words that docs/glossary.md has replaced are in no product file and on no page."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.checkout

RETIRED = {
    r"promis(e|es|ed)": "SLO",
    r"vouch(es|ed)?": "valid",
    r"turned[ _]down": "rejected",
    r"stand-ins?|stand_ins?|StandIns?|local[_ ]models?": "emulator",
    r"rungs?|ladders?": "load step and rate sweep, or fallback chain",
    r"itinerar(y|ies)": "schedule",
    r"conductors?": "coordinator",
    r"cold[_ -]herds?": "cache stampede",
    r"least[_ -]regret": "minimax regret",
    r"value[_ ]of[_ ]measuring": "expected value of information",
    r"exact floor": "snapshot checks",
    r"own[_ ]silicon": "self-hosted",
    r"last_words": "last log line",
    r"br(oke|eaks)[_ ]first": "first limit exceeded",
    r"kickers?": "subtitle",
    r"Unheard": "null listener",
    r"circumstances": "environment",
    r"mend(s|ed|ing)?": "fix",
    r"Visits?": "session state",
    r"[Ll]evers?": "multipliers",
    r"talk\.say|Talk(?=[\])(,:])": "console",
}
OLD_NAMES = {
    "capacity/plan.py",  # reads plans of schema 1
    "facts/stack.py",  # reads scenarios that say spill.ladder
    "emulator/profiles.py",  # reads profiles of schema peakday.stand_ins/1
    "peakday/gate/builds/runs.py",  # counts the connections of older builds too
    "peakday/commands/run.py",  # the deprecated names of `peakday sweep` and --steps
    "docs/commands.md",
    "loadgen/run_info.py",  # keys of run.json: stand_ins, what_broke_first
    "loadgen/analysis/finish.py",
    "docs/run-record.md",
    "docs/glossary.md",
    "study/table.py",
}
"""Files that must still know an old name: of a file on disk, or of a deprecated option."""
PLACES = (
    "host", "facts", "wire", "slo", "scenarios", "assistant", "emulator", "loadgen", "neuron_bench", "capacity",
    "dashboards", "peakday", "bench", "deploy", "docs", "README.md",
)  # fmt: skip
HISTORY = ("docs/decisions/", "docs/study/")
ENDINGS = (".py", ".md", ".html", ".css", ".yaml", ".yml", ".j2")
SPEECH = ("scenarios/utterances/", "scenarios/library/", "emulator/shop_model/")
"""What customers say is theirs to word."""


@cache
def cleaned() -> dict[str, str]:
    """The text of every file that is looked at, line for line, without what may stand."""
    command = ["git", "ls-files", *PLACES]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    may_stand = re.compile(r"`tests/[^`\n]*`|what_broke_first|Promise\(|Little's law")
    return {
        name: may_stand.sub("", (ROOT / name).read_text())
        for name in names
        if name.endswith(ENDINGS) and not name.startswith((*HISTORY, *SPEECH)) and name not in OLD_NAMES
    }


def uses(pattern: str) -> list[str]:
    """Places where a retired word stands, as `file:line: text`."""
    word = re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![a-z])")
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in cleaned().items()
        if word.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if word.search(line)
    ]


@pytest.mark.parametrize("pattern", RETIRED)
def test_a_retired_word_is_in_no_file(pattern):
    assert uses(pattern) == [], f"use: {RETIRED[pattern]}"


def test_a_retired_word_would_be_seen():
    """The glossary itself names what it replaced nowhere else."""
    assert uses("percentile")
