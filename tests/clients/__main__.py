"""`make clients`: every client against one emulator on loopback; writes the table of docs/clients.md.

PEAKDAY_CLIENTS names the folder of their environments; the cache folder's `clients` otherwise.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from host import processes
from peakday.records.folders import cache_folder
from tests.clients.environments import ALONE, PYTHON, Environments, node_versions, python_versions
from tests.clients.frameworks import ENVIRONMENTS, tried
from tests.clients.load_generators import GENERATORS, SCRIPTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/clients.md"
COLUMNS = ("answer", "stream", "tools", "structured", "tokens")
_TIMEOUT_S = 900
BY_TLS = " by TLS"
CA_FILE = "ca.pem"
TRUSTED_BY = ("AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")
"""Variables by which clients are told of an authority."""

Results = dict[str, dict[str, str]]
"""Client -> what -> "pass" or the reason why not."""


def main() -> int:
    """0 when every check passed, else 1; the page is written either way."""
    environments = Environments(Path(os.environ.get("PEAKDAY_CLIENTS") or cache_folder() / "clients"))
    python, node = environments.python("python", PYTHON), environments.node()
    alone = {name: environments.python(name, (name,)) for name in ALONE}
    servers = {name: environments.python(name, packages) for name, packages in ENVIRONMENTS.items()}
    versions = python_versions(python, PYTHON) | {f"{name} (npm)": held for name, held in node_versions(node).items()}
    for name, interpreter in alone.items():
        versions |= python_versions(interpreter, (name,))
    for name, packages in ENVIRONMENTS.items():
        versions |= python_versions(servers[name], packages)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "emulator", "--ca-file", str(Path(folder) / CA_FILE)]
        emulator = processes.start("emulator", command, folder=ROOT, watched=True, stdout=True)
        try:
            ready = emulator.ready()
            url = ready["url"]
            frameworks = tried(servers, node, url)
            results = _results(url, ready["tls_url"], python, node, alone, Path(folder))
        finally:
            emulator.stop()
    _write("clients", f"{_counted(results)}\n\n{_table(results)}\n\n{_held(versions)}")
    rows = [f"| {name} | `{mapping}` | {cell} |" for name, (mapping, cell) in frameworks.items()]
    _write("frameworks", "\n".join(["| framework | mapping | two turns |", "|---|---|---|", *rows]))
    print(_table(results), *rows, sep="\n")
    cells = [cell for row in results.values() for cell in row.values()] + [cell for _, cell in frameworks.values()]
    return 0 if all(cell == "pass" for cell in cells) else 1


def _results(url: str, tls_url: str, python: Path, node: Path, alone: dict[str, Path], folder: Path) -> Results:
    results: Results = {}
    commands = [[python, script, url] for script in sorted(SCRIPTS.glob("*_*.py"))]
    (node / "node.mjs").write_text((SCRIPTS / "node.mjs").read_text())
    commands.append([Path("node"), node / "node.mjs", url])
    encrypted = [
        (python, SCRIPTS / "aws_boto3.py"),
        (python, SCRIPTS / "openai_client.py"),
        ("node", node / "node.mjs"),
    ]
    commands += [[program, script, tls_url, BY_TLS] for program, script in encrypted]
    trusting = dict.fromkeys(TRUSTED_BY, str(folder / CA_FILE))
    for command in commands:
        for client, what, reason in _checks(command, folder, trusting if BY_TLS in command else {}):
            results.setdefault(client, {})[what] = reason or "pass"
    for name, generator in GENERATORS.items():
        try:
            generator.check(alone[name], url, folder)
            cell = "pass"
        except Exception as error:
            cell = f"{type(error).__name__}: {error}"[:160]
        results[generator.client] = {"stream": cell}
    return results


def _checks(command: list[object], folder: Path, trusting: dict[str, str]) -> Iterator[tuple[str, str, str | None]]:
    """(client, what, reason) of each line that a script prints; one row of its own when it prints none."""
    print(f"running {command[1]}", file=sys.stderr)
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S,
        env=os.environ | trusting,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"client"')]
    if not rows:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        yield Path(str(command[1])).stem, "answer", last[0] if last else "printed nothing"
    for row in rows:
        yield row["client"], row["what"], row["reason"]


def _table(results: Results) -> str:
    lines = [f"| client | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    for client in sorted(results, key=str.lower):
        cells = [results[client].get(what, "–").replace("|", "\\|") for what in COLUMNS]
        lines.append(f"| {client} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _counted(results: Results) -> str:
    day = datetime.now(UTC).date().isoformat()
    cells = [cell for row in results.values() for cell in row.values()]
    return f"{day}: {sum(cell == 'pass' for cell in cells)} of {len(cells)} checks passed."


def _held(versions: dict[str, str]) -> str:
    held = ", ".join(f"{name} {version}" for name, version in sorted(versions.items(), key=lambda row: row[0].lower()))
    return f"Versions: {held}."


def _write(mark: str, text: str) -> None:
    """Put a text between its marks on the page."""
    page = PAGE.read_text(encoding="utf-8")
    marked = re.compile(rf"(<!-- {mark}:begin -->\n).*(\n<!-- {mark}:end -->)", re.DOTALL)
    PAGE.write_text(marked.sub(lambda found: f"{found[1]}{text}{found[2]}", page), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
