"""Odd files, each read by every reader of a user's files: `python -m tests.odd_files` prints what came of them.

A content changes a right file of its reader (its encoding, its line ends, one thing in it) or stands in its place.
Each is read by a process of its own, with little memory and time: values, or one line; anything else is a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

from dashboards.focus.actuals import check_bill
from emulator.profiles import read_profiles
from facts.account import USAGE_COLUMNS, read_quotas, read_usage
from host.errors import PeakdayError
from loadgen.record import load_run
from neuron_bench.record import load_bench
from peakday.account.prices import PriceRow
from peakday.ready.checklist import read_checklist
from peakday.ready.event import read_event
from scenarios.counts import step_counts
from scenarios.questions import read_questions
from scenarios.traces.sessions import read_trace
from tests.test_bad_files import READERS as FILES
from tests.test_bad_records import documents

SECONDS_MAX = 5
BYTES_MAX = 768 * 2**20
"""More than a reader holds already: it may keep a log of a hundred megabytes, and no bomb."""
BIG = 30_000_000
SCENARIO = "schema: peakday.scenario/1\nextends: smoke\nname: mine\nseed: 7\n"
CSV = "timestamp,input_tokens,output_tokens\n2026-07-08T09:00:00Z,100,20\n2026-07-08T09:00:01Z,100,20\n"
PRICES = ",".join(item.name for item in fields(PriceRow)) + "\n"
USAGE = f"{','.join(USAGE_COLUMNS)}\n2026-11-23T12:00:00Z,us-east-1,us.amazon.nova-pro-v1:0,nova-pro"
USAGE += ",5" * (len(USAGE_COLUMNS) - 4) + "\n"
OURS = {
    "models": ("facts", "data/models.yaml"), "quality": ("facts", "data/quality.yaml"),
    "marketplaces": ("facts", "data/models.yaml"), "profiles": ("emulator", "profiles.yaml"),
    "checklist": ("peakday.ready", "checklist.yaml"),
}  # fmt: skip
"""Reader -> package and file of ours that it reads too."""
SEEDS = {
    "scenario": SCENARIO,
    "config": "schema: peakday.config/1\nowned_targets: [http://127.0.0.1:1]\n",
    "checks": "schema: peakday.checks/1\nslo: [ttft_s_p95 <= 1]\n",
    "quotas": "schema: peakday.quotas/1\npulled_utc: '2026-11-23T12:00Z'\nregions: {us-east-1: {bedrock: []}}\n",
    "mapping": "schema: peakday.target/1\nurl: http://127.0.0.1:1\nbody: {q: '{message}'}\nformat: sse\n"
    "text: {path: t}\nend: {data: '[DONE]'}\n",
    "matrix": "schema: peakday.bench_matrix/1\ntargets:\n  - {device: cpu, method: trace, models: [nano]}\n",
    "usage": USAGE, "prices": PRICES, "customers": "customer_id,token\na,b\nc,d\n", "replay": CSV, "table": CSV,
    "fit": "period,count\n2025,100\n2026,200\n", "trace": CSV,
    "counts": "timestamp,requests\n2026-07-08T09:00:00Z,5\n2026-07-08T09:01:00Z,7\n",
    "questions as table": "message,weight\nhello there,1\n", "route": "text,label\nis it cheap,deals\n",
    "event": "schema: peakday.event/1\nscenario: smoke\n",
    "bill": "ServiceName,ChargePeriodStart,ChargePeriodEnd,BillingCurrency,EffectiveCost\nBedrock,a,b,USD,5\n",
    **{name: files(package).joinpath(file).read_text(encoding="utf-8") for name, (package, file) in OURS.items()},
}  # fmt: skip


def readers() -> dict[str, tuple[Callable[[Path], object], str, str]]:
    """Name -> reader of a path, a text to begin with (right where there is one), and the end of the file's name."""
    more: dict[str, Callable[[Path], object]] = {
        "trace": read_trace,
        "counts": lambda path: step_counts(str(path), "timestamp", "requests", 60.0), "bill": check_bill,
        "event": lambda path: read_event(str(path)), "checklist": read_checklist, "profiles": read_profiles,
        "questions as table": read_questions, "usage": read_usage, "quotas": read_quotas,
        "run": lambda path: load_run(_as(path, "run.json")),
        "bench record": lambda path: load_bench(_as(path, "bench.json")),
    }  # fmt: skip
    tables = ("usage", "prices", "customers", "replay", "table", "fit", "trace", "counts", "questions as table", "bill")
    found = {
        name: (read, SEEDS.get(name, "schema: x\n"), ".csv" if name in tables else ".yaml")
        for name, read in {**FILES, **more}.items()
    }
    for name, (read, document) in documents().items():
        name = "model config" if name == "config" else name
        text = SEEDS["route"] if name == "route" else json.dumps(document) + "\n"
        found[name] = (read, text, ".csv" if name == "route" else ".json")
    return found


def _as(path: Path, name: str) -> Path:
    """A folder in which the file is a record's own."""
    folder = path.with_name("record")
    folder.mkdir()
    os.replace(path, folder / name)
    return folder


def _bomb(seed: bytes) -> bytes:
    """Four gigabytes of one line, in four megabytes."""
    return gzip.compress(b"x" * 10_000_000) * 400


def _archive(name: str) -> Callable[[bytes], bytes]:
    def packed(seed: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, seed + b" " * 1_000_000)
        return file.getvalue()

    return packed


def _inserted(text: str) -> Callable[[bytes], bytes]:
    """The seed with a further line that says something odd."""
    return lambda seed: seed + text.encode("utf-8", "surrogatepass")


CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda seed: seed,
    # encodings
    "with a byte order mark": lambda seed: b"\xef\xbb\xbf" + seed,
    "a byte order mark alone": lambda _: b"\xef\xbb\xbf",
    "UTF-16 with a mark": lambda seed: seed.decode().encode("utf-16"),
    "UTF-16 without": lambda seed: seed.decode().encode("utf-16-le"),
    "UTF-16 cut in a letter": lambda seed: seed.decode().encode("utf-16")[:-1],
    "UTF-32": lambda seed: seed.decode().encode("utf-32"),
    "Latin-1": lambda seed: seed + "# caf\xe9\n".encode("latin-1"),
    "half a letter at the end": lambda seed: seed + "é".encode()[:1],
    "EBCDIC": lambda seed: seed.decode().encode("cp500"),
    # line ends and blanks
    "CR alone": lambda seed: seed.replace(b"\n", b"\r"),
    "CR and LF": lambda seed: seed.replace(b"\n", b"\r\n"),
    "LF and CR": lambda seed: seed.replace(b"\n", b"\n\r"),
    "no last line end": lambda seed: seed.rstrip(b"\n"),
    "line separators of Unicode": lambda seed: seed.replace(b"\n", "\u2028".encode()),
    "form feeds": lambda seed: seed.replace(b"\n", b"\x0c\n"),
    "nothing": lambda _: b"",
    "blanks": lambda _: b" \t \n \n",
    "a million line ends": lambda seed: b"\n" * 1_000_000 + seed,
    "comments alone": lambda _: b"# nothing\n" * 1_000,
    "twice": lambda seed: seed + seed,
    # bytes that are none of a text's
    "NUL": lambda seed: seed + b"\0",
    "NUL in a cell": lambda seed: seed.replace(b"a", b"\0", 1),
    "escapes of a terminal": _inserted("\x1b]0;x\x07\x1b[2J: \x1b[31m\n"),
    "reversed writing": _inserted("\u202eabc\u2066: \u200b\n"),
    "an SQLite file": lambda _: b"SQLite format 3\0" + bytes(4_000),
    "a picture": lambda _: b"\x89PNG\r\n\x1a\n" + bytes(4_000),
    "a PDF": lambda _: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "a page": lambda _: b"<!doctype html><title>Sign in</title>\n",
    "Parquet": lambda _: b"PAR1" + bytes(4_000) + b"PAR1",
    # packed
    "gzip": lambda seed: gzip.compress(seed),
    "gzip of gzip": lambda seed: gzip.compress(gzip.compress(seed)),
    "gzip cut off": lambda seed: gzip.compress(seed)[:-6],
    "gzip with another checksum": lambda seed: gzip.compress(seed)[:-8] + bytes(8),
    "a gzip bomb": _bomb,
    "a workbook": _archive("xl/workbook.xml"),
    "a zip archive": _archive("file.csv"),
    "Zstandard": lambda seed: b"\x28\xb5\x2f\xfd\x04\x00" + seed,
    "bzip2": lambda _: b"BZh91AY&SY" + bytes(100),
    # tables
    "sep=;": lambda seed: b"sep=;\n" + seed.replace(b",", b";"),
    "semicolons and decimal commas": lambda seed: seed.replace(b",", b";").replace(b".", b","),
    "thousands": lambda seed: seed.replace(b",100,", b',"1,000",'),
    "thousands with a no-break space": lambda seed: seed.replace(b",100,", ",1\u202f000,".encode()),
    "Arabic digits": lambda seed: seed.replace(b"100", "١٠٠".encode()),
    "quotes within quotes": lambda seed: seed + b'"a ""b"" c","""",""\n',
    "a quote that is not closed": lambda seed: seed + b'"a,b\n' + b"c,d\n" * 1_000,
    "a cell of a megabyte": lambda seed: seed + b"a" * 1_000_000 + b",1,2\n",
    "a hundred thousand columns": lambda _: b",".join(b"c%d" % i for i in range(100_000)) + b"\n",
    "a formula": lambda seed: seed + b"=cmd|' /C calc'!A0,1,2\n",
    "a row too short": lambda seed: seed + b"a\n",
    "the header again": lambda seed: seed + seed.split(b"\n")[0] + b"\n",
    "dates of the year 0 and 10,000": lambda seed: seed.replace(b"2026-", b"0000-").replace(b"09:00:01", b"99:99:99"),
    # JSON and YAML
    "NaN": lambda seed: seed.replace(b"100", b"NaN").replace(b"5", b"NaN").replace(b"7", b".nan"),
    "Infinity": lambda seed: seed.replace(b"100", b"Infinity").replace(b"5", b"-Infinity").replace(b"7", b".inf"),
    "10^400": lambda seed: seed.replace(b"100", b"1" + b"0" * 400).replace(b"5", b"1" + b"0" * 400),
    "5,000 digits": lambda seed: seed.replace(b"100", b"9" * 5_000).replace(b"5", b"9" * 5_000),
    "1e999": lambda seed: seed.replace(b"100", b"1e999").replace(b"5", b"1e999").replace(b"7", b"1e999"),
    "negative": lambda seed: seed.replace(b"100", b"-100").replace(b"5", b"-5").replace(b"7", b"-7"),
    "a key twice": lambda seed: seed.replace(b"{", b'{"schema": "x", "schema": "y", ', 1) + b"schema: x\nschema: x\n",
    "100,000 lists": lambda _: b"[" * 100_000,
    "100,000 objects": lambda _: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 levels of lines": lambda _: b"".join(b" " * i + b"a:\n" for i in range(3_000)),
    "flow in flow": lambda seed: seed + b"a: " + b"{b: " * 2_000 + b"1" + b"}" * 2_000 + b"\n",
    "half a pair": _inserted('{"a": "\\ud800"}\n'),
    "a list": lambda _: b"[]\n",
    "a list of a million": lambda _: b"[" + b"null," * 999_999 + b"null]",
    "a word": lambda _: b'"word"\n',
    "null": lambda _: b"null\n",
    "an empty object": lambda _: b"{}\n",
    "aliases": lambda seed: seed + b"a: &a [1]\nb: [*a, *a]\n",
    "a bomb of aliases": lambda _: b"a: &a [x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(12)),
    "merge keys": lambda seed: seed + b"<<: {seed: 8}\n",
    "tabs": lambda seed: seed.replace(b": ", b":\t").replace(b"  ", b"\t"),
    "a tag": lambda seed: seed + b"x: !!python/object/apply:os.system [true]\n",
    "documents": lambda seed: b"---\n" + seed + b"---\n" + seed + b"...\n",
    "%YAML 1.1": lambda seed: b"%YAML 1.1\n---\n" + seed,
    "a number that is text": lambda seed: seed.replace(b"7", b"010"),
    "an endless line": lambda _: b"x" * BIG,
    "an endless key": lambda seed: seed + b"k" * 500_000 + b": 1\n",
    "garbage behind": lambda seed: seed + b"\x00\xff\xfe garbage",
    "brackets": lambda _: b"]}{[:,\n",
}  # fmt: skip


def _fifo(path: Path, seed: bytes) -> None:
    os.mkfifo(path)


def _folder(path: Path, seed: bytes) -> None:
    path.mkdir()


def _link(target: str) -> Callable[[Path, bytes], None]:
    return lambda path, seed: path.symlink_to(target.format(path=path))


def _sparse(path: Path, seed: bytes) -> None:
    with path.open("wb") as file:
        file.write(seed)
        file.truncate(20 * 2**30)


def _grows(path: Path, seed: bytes) -> None:
    """Another process appends for as long as it is read."""
    path.write_bytes(seed)
    if os.fork() == 0:
        with contextlib.suppress(BaseException), path.open("ab", buffering=0) as file:
            for _ in range(200_000):
                file.write(b"x" * 1_000)
        os._exit(0)


PLACES: dict[str, Callable[[Path, bytes], None]] = {
    "a named pipe": _fifo,
    "a folder": _folder,
    "/dev/zero": _link("/dev/zero"),
    "/dev/full": _link("/dev/full"),
    "/proc/self/mem": _link("/proc/self/mem"),
    "a link to nothing": _link("nothing"),
    "a link to itself": _link("{path}"),
    "20 GB of nothing": _sparse,
    "a file that grows": _grows,
}
"""Content -> what stands where the file should."""


def _limited() -> None:
    """Of the child: memory above what it has, and processor time."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + BYTES_MAX, held + BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_MAX, SECONDS_MAX))
    signal.alarm(60)  # of the wall clock: for what waits


def outcome(read: Callable[[Path], object], make: Callable[[Path], None], ending: str) -> str:
    """`read`, `refused`, or what was wrong, from a process of its own."""
    with tempfile.TemporaryDirectory(prefix="peakday-odd-") as folder:
        path = Path(folder) / f"file{ending}"
        make(path)
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            os.write(theirs, _said(read, path).encode("utf-8", "replace")[:60_000])
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as stream:
            said = stream.read().decode()
        _, status = os.waitpid(child, 0)
        return said or f"WRONG ended by {signal.strsignal(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else status}"


def _said(read: Callable[[Path], object], path: Path) -> str:
    try:
        _limited()
        read(path)
    except PeakdayError as error:
        line = str(error)
        return "refused" if "\n" not in line else f"WRONG a message of {line.count(chr(10)) + 1} lines"
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        ours = [one for one in traceback.extract_tb(error.__traceback__) if "site-packages" not in one.filename][-1]
        return f"WRONG {type(error).__name__} {str(error)[:80]!r} {ours.filename}:{ours.lineno} {frame.name}"
    return "read"


def cases(only: str | None, content: str | None) -> Iterator[tuple[str, str, str]]:
    """Reader, content and outcome of each."""
    for name, (read, text, ending) in readers().items():
        seed = text.encode()
        makers = {what: written(change, seed) for what, change in CONTENTS.items()}
        makers |= {what: placed(place, seed) for what, place in PLACES.items()}
        for what, make in makers.items():
            if only in (None, name) and content in (None, what):
                yield name, what, outcome(read, make, ending)


def written(change: Callable[[bytes], bytes], seed: bytes) -> Callable[[Path], None]:
    """A function that writes the changed seed to a path."""

    def write(path: Path) -> None:
        path.write_bytes(change(seed))

    return write


def placed(place: Callable[[Path, bytes], None], seed: bytes) -> Callable[[Path], None]:
    """A function that puts something else to a path."""
    return lambda path: place(path, seed)


def main() -> int:
    """Print a line for each fault and the counts; exit code 1 where there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.odd_files", description=__doc__)
    parser.add_argument("--reader", help="this one alone")
    parser.add_argument("--content", help="this one alone")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    for name, what, said in cases(asked.reader, asked.content):
        counts[said.split()[0]] += 1
        if said.startswith("WRONG"):
            print(f"{name}: {what}: {said}", flush=True)
    contents = len(CONTENTS) + len(PLACES)
    print(f"{len(readers())} readers, {contents} contents: {sum(counts.values()):,} files,", end=" ")
    print(f"{counts['read']:,} read, {counts['refused']:,} refused, {counts['WRONG']:,} wrong")
    return 1 if counts["WRONG"] else 0


if __name__ == "__main__":
    sys.exit(main())
