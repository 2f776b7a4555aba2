"""The tree is the architecture: who may import whom, and what an import may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAVES = {"facts", "wire", "slo", "host"}
PACKAGES = (
    "host",
    "facts",
    "wire",
    "slo",
    "scenarios",
    "assistant",
    "emulator",
    "loadgen",
    "neuron_bench",
    "capacity",
    "dashboards",
    "peakday",
)
RECORDS = {"loadgen.record", "neuron_bench.record", "neuron_bench.step_model"}
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
    "dashboards": LEAVES | RECORDS | {"capacity.plan"},
    "peakday": set(PACKAGES),
}


def modules(package: str) -> list[Path]:
    """Every module of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def our_imports(path: Path) -> set[str]:
    """Dotted names of our own modules that a file imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            # `from loadgen import record` names a module, `from loadgen.record import Run` a thing in one
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inside if node.module in PACKAGES else {node.module}
    return {name for name in names if name.split(".")[0] in PACKAGES}


@pytest.mark.checkout
@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_the_table_allows(package):
    """The import table of docs/architecture.md holds, in every module."""
    allowed = MAY_IMPORT[package] | {package}
    for path in modules(package):
        for name in our_imports(path):
            parts = name.split(".")
            prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
            assert prefixes & allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.checkout
@pytest.mark.parametrize("package", PACKAGES)
def test_package_files_import_nothing(package):
    """`__init__.py` holds a docstring and nothing else, so that importing a package costs nothing."""
    for path in (ROOT / package).rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert len(body) == 1, path
        assert isinstance(body[0], ast.Expr), path


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(result.stdout.split())


HEAVY = {"locust", "gevent", "boto3", "botocore", "torch", "torch_neuronx", "transformers"}


@pytest.mark.checkout
@pytest.mark.parametrize("package", ["capacity", "scenarios", "dashboards", "loadgen", "neuron_bench"])
def test_importing_every_module_of_the_offline_packages_loads_nothing_heavy(package):
    """Locust patches sockets and torch takes seconds: only the process that needs them loads them."""
    skipped = ("loadgen/worker", "loadgen/coordinator", "loadgen/transport", "neuron_bench/child")
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in modules(package)
        if path.name not in ("__init__.py", "__main__.py") and not str(path.relative_to(ROOT)).startswith(skipped)
    ]
    assert not loaded_by(f"import {', '.join([package, *names])}") & HEAVY


def test_the_command_loads_nothing_heavy():
    """`peakday --help` answers at once: no load engine, no cloud client, no array library."""
    assert not loaded_by("import peakday.cli") & (HEAVY | {"pandas", "numpy", "scipy", "numba", "plotly", "pyarrow"})


def test_every_package_is_ours():
    """The names are generic: each must come from one folder, whatever else is on the path."""
    code = "import importlib\n" + "\n".join(f"print(importlib.import_module('{name}').__file__)" for name in PACKAGES)
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/")
    homes = {Path(line).parents[1] for line in result.stdout.split()}
    assert len(homes) == 1
