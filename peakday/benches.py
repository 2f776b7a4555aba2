"""Bench records from files of others and from this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dashboards.report import write_report
from host.errors import Exit
from host.redaction import shown_url
from neuron_bench.endpoint.sweep import EndpointSpec
from neuron_bench.endpoint.sweep import run as measure_endpoint
from neuron_bench.importers.files import Known, import_file
from neuron_bench.matrix import read_matrix, run_matrix
from neuron_bench.record import Bench, load_bench
from neuron_bench.report.headlines import case_table, headline_table, headlines, step_table
from neuron_bench.trace.prebuild import prebuild
from neuron_bench.trace.suite import Spec
from neuron_bench.trace.suite import run as measure_trace
from peakday.config import load_config
from peakday.consent import NO_CONSENT, Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import Named, Target, admit_agreed, admitted, checked_url
from peakday.records.folders import find_record, new_folder, relative

ROWS_SHOWN = 20
"""Flagged rows that are printed one by one."""


def import_bench(file: Path, out: Path | None, known: Known) -> tuple[str, dict[str, object]]:
    """Import a table into a new record; what was taken, what was flagged and why."""
    if not file.is_file():
        raise CommandError(f"{file}: no such file")
    folder = out or new_folder("benches", file.name.split(".")[0], datetime.now(UTC))
    import_file(file, folder, known)
    return _imported(load_bench(folder))


def _imported(bench: Bench) -> tuple[str, dict[str, object]]:
    """How many cases a record holds, how many of them are flagged, for what, and which."""
    flags = bench.cases["flags"].dropna()
    flagged = flags[flags != ""]
    reasons = flagged.str.split(";").explode().value_counts().to_dict()
    rows = {str(row.record_id): row.flags for row in bench.rows if row.flags}
    lines = [f"{bench.path}: {len(bench.cases)} cases, {len(flagged)} flagged and not used"]
    lines += [f"  {count:>5}  {reason}" for reason, count in reasons.items()]
    lines += [f"  {name}: {flags.replace(';', ', ')}" for name, flags in list(rows.items())[:ROWS_SHOWN]]
    lines += [f"  and {len(rows) - ROWS_SHOWN} more rows: --json names all"] * (len(rows) > ROWS_SHOWN)
    counts = {"cases": len(bench.cases), "flagged": len(flagged)}
    data = {"bench": str(bench.path), **counts, "reasons": reasons, "rows": rows}
    return "\n".join(lines), data


def report_bench(wanted: str, out: Path | None) -> tuple[str, dict[str, object]]:
    """The summary of a bench, and its page beside the record or where asked."""
    bench = load_bench(find_record("benches", wanted))
    page = write_report(out or bench.path / "report.html", run=None, plan=None, bench=bench)
    parts = (headline_table(headlines(bench)), case_table(bench), step_table(bench), str(page))
    return "\n\n".join(parts), {"report": str(page), **bench.info}


@dataclass(frozen=True)
class BenchOptions:
    """What to measure, and how. device: None is this machine's CPU, or for a server what drives its chip."""

    device: str | None
    method: str
    model: str | None
    suite: str
    url: str | None = None
    chip: str | None = None
    instance_type: str | None = None
    dtype: str | None = None
    tp: int | None = None
    chips_used: float | None = None
    server_host: str | None = None
    lengths: tuple[int, ...] = ()
    contexts: tuple[int, ...] = ()
    users: tuple[int, ...] = ()
    rounds: int | None = None
    artifacts: str | None = None
    consent: Consent = NO_CONSENT
    resume: Path | None = None
    out: Path | None = None


EXIT_OF_STATE = {"finished": Exit.OK, "unfinished": Exit.INCONCLUSIVE, "interrupted": Exit.INTERRUPTED}
"""What a bench exits with: a case that ran out of time, or Ctrl-C, is no success; the record is kept."""


def run_bench(options: BenchOptions, *, seed: int, console: Console) -> tuple[str, dict[str, object], Exit]:
    """Measure a model on a device, or behind a server; a line for every case while it goes on.

    Raises:
        CommandError: options that do not go together.
        BenchError: the device or server is not ready, or nothing could be measured; no record is left then.
    """
    if options.method not in ("trace", "endpoint"):
        raise CommandError(f"--method {options.method!r}: expected trace or endpoint")
    if (options.method == "endpoint") != (options.url is not None):
        raise CommandError("--url names the server of --method endpoint; the two go together")
    place = options.chip or options.device or options.method
    name = f"{Path(options.model or 'model').name}-{place}-{options.suite}".replace(" ", "-")
    folder = options.out or new_folder("benches", name, datetime.now(UTC))
    if options.method == "endpoint":
        _run_endpoint(options, folder, seed, console)
    else:
        _run_trace(options, folder, seed, console)
    bench = load_bench(folder)
    text = f"{case_table(bench)}\n\n{step_table(bench)}\n\n{relative(folder)}"
    return text, {"bench": str(folder), **bench.info}, EXIT_OF_STATE[bench.state]


def _run_trace(options: BenchOptions, folder: Path, seed: int, console: Console) -> None:
    agree_to_stores([options.artifacts], options.consent, console)
    measure_trace(_trace_spec(options, seed), folder, progress=_say_progress(console), resume=options.resume)


def _trace_spec(options: BenchOptions, seed: int) -> Spec:
    for option, value in (("--tp", options.tp), ("--chips-used", options.chips_used), ("--rounds", options.rounds)):
        if value is not None:
            raise CommandError(f"{option}: of --method endpoint; a traced model runs on one core of one chip")
    return Spec(
        device=options.device or "cpu",
        model=options.model or "nano",
        suite=options.suite,
        dtype=options.dtype or "float32",
        seed=seed,
        chip=options.chip,
        instance_type=options.instance_type,
        artifact_store=options.artifacts,
        lengths=options.lengths,
        contexts=options.contexts,
        users=options.users,
    )


def agree_to_stores(stores: Sequence[str | None], consent: Consent, console: Console) -> None:
    """Return when the stores of compiled graphs may be used: one in S3 is read and written with the account's keys.

    Raises:
        CommandError: one is in S3, and `--live` is missing.
    """
    for store in sorted({store for store in stores if store and store.startswith("s3://")}):
        require_live(consent, f"compiled graphs in {store}", "S3 requests and storage, a few cents", console)


def server_url(url: str, option: str) -> str:
    """The base URL of an OpenAI-compatible server; paths are added to it, so it has no query.

    Raises:
        CommandError: no such URL.
    """
    if "?" in url or "#" in url:
        raise CommandError(f"{option} {shown_url(url)}: a server to bench takes no query; leave it out")
    return checked_url(url, option)


def _servers(
    urls: Sequence[str], option: str, consent: Consent, console: Console, *, answering: bool = True
) -> list[Target]:
    """Servers that may be measured; one that may be paid by the token needs `--live`, as a bench keeps no budget.

    Raises:
        CommandError: one is not owned, does not answer, or may cost money without `--live`.
    """
    places = [Named("openai", server_url(url, option)) for url in urls]
    what = f"a bench of {', '.join(shown_url(url) for url in urls)}"

    def agree() -> None:
        require_live(
            consent, what, "not known; a server that nobody is charged for belongs into unpaid_targets", console
        )

    return admit_agreed(places, load_config(), agree, option, answering=answering)


def prebuild_graphs(options: BenchOptions, *, seed: int, console: Console) -> tuple[str, dict[str, object], Exit]:
    """Compile every graph that the same bench would need into its artifact store; nothing is timed."""
    agree_to_stores([options.artifacts], options.consent, console)
    built = prebuild(_trace_spec(options, seed), progress=_say_progress(console))
    return "\n".join(map(str, built)), {"built": [asdict(graph) for graph in built]}, Exit.OK


def run_matrix_file(
    file: Path, out: Path | None, *, consent: Consent = NO_CONSENT, console: Console
) -> tuple[str, dict[str, object], Exit]:
    """Every bench of a matrix file; those that are there already are kept, refusals stop no other."""
    matrix = read_matrix(file)
    stores = [entry.spec.artifact_store for entry in matrix.entries if isinstance(entry.spec, Spec)]
    agree_to_stores(stores, consent, console)
    urls = [entry.spec.url for entry in matrix.entries if isinstance(entry.spec, EndpointSpec)]
    hosts = admitted(_servers(urls, f"{file}: url", consent, console, answering=False))
    entries = tuple(
        replace(entry, spec=replace(entry.spec, admitted=hosts)) if isinstance(entry.spec, EndpointSpec) else entry
        for entry in matrix.entries
    )
    matrix = replace(matrix, entries=entries)
    outcome = run_matrix(matrix, out or Path("benches"), progress=_say_progress(console))
    lines = [str(relative(path)) for path in outcome.benches]
    lines += [f"refused {name}: {reason}" for name, reason in outcome.refused.items()]
    benches = [load_bench(path) for path in outcome.benches]
    lines += ["", headline_table([row for bench in benches for row in headlines(bench, matrix.slos)])]
    code = max((EXIT_OF_STATE[bench.state] for bench in benches), default=Exit.OK)
    data: dict[str, object] = {"benches": [str(path) for path in outcome.benches], "refused": outcome.refused}
    return "\n".join(lines), data, code if code or not outcome.refused else Exit.INCONCLUSIVE


def _run_endpoint(options: BenchOptions, folder: Path, seed: int, console: Console) -> None:
    (target,) = _servers([str(options.url)], "--url", options.consent, console)
    if options.resume is not None:
        raise CommandError("--resume: only --method trace can go on with an earlier record")
    spec = EndpointSpec(
        url=target.url,
        admitted=admitted([target]),
        model=options.model,
        suite=options.suite,
        seed=seed,
        device=options.device,
        chip=options.chip,
        instance_type=options.instance_type,
        dtype=options.dtype,
        tp=options.tp,
        chips_used=options.chips_used,
        server_host=options.server_host,
        lengths=options.lengths,
        contexts=options.contexts,
        users=options.users,
        rounds=options.rounds,
    )
    measure_endpoint(spec, folder, progress=_say_progress(console))


def _say_progress(console: Console) -> Callable[[int, int, float | None, str], None]:
    def say(done: int, total: int, seconds_left: float | None, label: str) -> None:
        left = "" if seconds_left is None else f", about {seconds_left:.0f} s left"
        console.say(f"{done}/{total} {label}{left}")

    return say
