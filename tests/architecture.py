"""The import graph, read from the source: who imports whom, at module level and inside functions.

`python -m tests.architecture` prints packages, arrows between them, arrows that the table forbids, and cycles.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEAVES = {"host", "facts", "wire", "slo"}
RECORDS = {"loadgen.record", "loadgen.run_info", "loadgen.tables", "neuron_bench.record", "neuron_bench.step_model"}
MAY_IMPORT: dict[str, set[str]] = {
    "host": set(),
    "facts": {"host"},
    "wire": {"host"},
    "slo": {"host"},
    "scenarios": LEAVES,
    "assistant": LEAVES,
    "emulator": LEAVES,
    "loadgen": LEAVES | {"scenarios"},
    "neuron_bench": LEAVES,
    "capacity": LEAVES | {"scenarios"} | RECORDS,
    "dashboards": LEAVES | RECORDS | {"capacity.plan", "capacity.rows"},
}
PACKAGES = (*MAY_IMPORT, "peakday")
MAY_IMPORT["peakday"] = set(PACKAGES)

Graph = Mapping[str, set[str]]


def module_files() -> dict[str, Path]:
    """Dotted name -> file, for every module of ours."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


@cache
def import_graph() -> dict[str, set[str]]:
    """Module -> modules of ours that it imports, at its top or inside a function."""
    files = module_files()
    return {name: set(_imports(ast.parse(path.read_text()), files)) - {name} for name, path in files.items()}


def _imports(tree: ast.AST, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for (
                alias
            ) in node.names:  # `from loadgen import record` names a module, `from loadgen.record import Run` not
                inside = f"{node.module}.{alias.name}"
                if inside in known:
                    yield inside
                elif node.module in known:
                    yield node.module


def forbidden(graph: Graph) -> list[tuple[str, str]]:
    """Imports between packages that the table does not allow."""
    found = []
    for name, targets in graph.items():
        package = name.split(".")[0]
        allowed = MAY_IMPORT[package] | {package}
        for target in targets:
            parts = target.split(".")
            if not {".".join(parts[:length]) for length in range(1, len(parts) + 1)} & allowed:
                found.append((name, target))
    return sorted(found)


def cycles(graph: Graph) -> list[list[str]]:
    """Sets of modules that import each other, each sorted. Source: Tarjan 1972, strongly connected components."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    rings: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            ring = [stack.pop()]
            while ring[-1] != name:
                ring.append(stack.pop())
            if len(ring) > 1:
                rings.append(sorted(ring))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return rings


def package_arrows(graph: Graph) -> dict[str, list[str]]:
    """Package -> packages it imports from."""
    return {
        package: sorted(
            {
                target.split(".")[0]
                for name, targets in graph.items()
                if name.split(".")[0] == package
                for target in targets
            }
            - {package}
        )
        for package in PACKAGES
    }


def lazy_imports() -> dict[str, int]:
    """Package -> imports of any module that stand inside a function."""
    counts = dict.fromkeys(PACKAGES, 0)
    for name, path in module_files().items():
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                counts[name.split(".")[0]] += sum(
                    isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function)
                )
    return counts


def rooms() -> dict[str, list[str]]:
    """Package -> its folders, as dotted names below it."""
    below: dict[str, set[str]] = {package: set() for package in PACKAGES}
    for name, path in module_files().items():
        if path.name == "__init__.py" and "." in name:
            package, _, room = name.partition(".")
            below[package].add(room)
    return {package: sorted(names) for package, names in below.items()}


def main() -> None:
    """Print the graph."""
    graph = import_graph()
    lazy = lazy_imports()
    for package, targets in package_arrows(graph).items():
        modules = sum(name.split(".")[0] == package for name in graph)
        print(
            f"{package:<13} {modules:>3} modules, {lazy[package]:>3} lazy imports -> {', '.join(targets) or 'nothing'}"
        )
    print(f"\narrows the table forbids: {forbidden(graph) or 'none'}")
    print(f"cycles: {cycles(graph) or 'none'}")


if __name__ == "__main__":
    main()
