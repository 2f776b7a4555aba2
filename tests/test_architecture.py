"""The tree is the architecture: who may import whom, and what an import may cost."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture import MAY_IMPORT, PACKAGES, ROOT, cycles, forbidden, import_graph, module_files, rooms

HEAVY = {"locust", "gevent", "boto3", "botocore", "torch", "torch_neuronx", "transformers"}
ARRAYS = {"pandas", "numpy", "scipy", "numba", "plotly", "pyarrow"}
IN_THEIR_OWN_PROCESS = ("loadgen.worker", "loadgen.coordinator", "loadgen.transport", "neuron_bench.child")
"""What runs inside Locust's processes or a bench child, and loads what it needs there."""


@pytest.mark.checkout
def test_a_package_imports_only_what_the_table_allows():
    """The import table of docs/architecture.md holds, in every module."""
    assert forbidden(import_graph()) == []


@pytest.mark.checkout
def test_no_modules_import_each_other():
    assert cycles(import_graph()) == []


def test_a_cycle_would_be_seen():
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]


@pytest.mark.checkout
def test_package_files_import_nothing():
    """`__init__.py` holds a docstring and nothing else, so that importing a package costs nothing."""
    for path in module_files().values():
        if path.name == "__init__.py":
            (statement,) = ast.parse(path.read_text()).body
            assert isinstance(statement, ast.Expr), path


@pytest.mark.checkout
def test_the_tree_in_the_architecture_page_is_the_codes():
    """docs/architecture.md lists each package's folders and what it may import, and nothing that is not there."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)/` \|[^|]*\|([^|]*)\|([^|]*)\|$", page, flags=re.MULTILINE)
    listed = {package: (re.findall(r"`([\w/]+)/`", folders), imports) for package, folders, imports in rows}
    assert {package: [name.replace("/", ".") for name in names] for package, (names, _) in listed.items()} == rooms()
    for package, (_, imports) in listed.items():
        named = {name.replace("/", ".").removesuffix(".py") for name in re.findall(r"`([\w/.]+?)/?`", imports)}
        assert named == MAY_IMPORT[package] or imports.strip() == "all", package


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(result.stdout.split())


@pytest.mark.checkout
def test_importing_every_module_of_the_offline_packages_loads_nothing_heavy():
    """Locust patches sockets and torch takes seconds: only the process that needs them loads them."""
    offline = ("host", "facts", "wire", "slo", "scenarios", "capacity", "dashboards", "loadgen", "neuron_bench")
    names = [
        name for name, path in module_files().items()
        if name.split(".")[0] in offline and path.name != "__main__.py" and not name.startswith(IN_THEIR_OWN_PROCESS)
    ]  # fmt: skip
    assert not loaded_by(f"import {', '.join(names)}") & HEAVY


def test_the_command_loads_nothing_heavy():
    """`peakday --help` answers at once: no load engine, no cloud client, no array library, no parser of files."""
    assert not loaded_by("import peakday.cli") & (HEAVY | ARRAYS | {"yaml", "pydantic"})


def test_every_package_is_ours():
    """The names are generic: each must come from one folder, whatever else is on the path."""
    code = "import importlib\n" + "\n".join(f"print(importlib.import_module('{name}').__file__)" for name in PACKAGES)
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/")
    homes = {Path(line).parents[1] for line in result.stdout.split()}
    assert len(homes) == 1


OF_A_DISTRIBUTION = {
    "sklearn": "scikit-learn", "yaml": "pyyaml", "zmq": "pyzmq", "docx": "python-docx",
    "opentelemetry": "opentelemetry-proto",
}  # fmt: skip
"""Import name -> distribution, where they are not alike."""
NOT_IMPORTED = {"plotly"}
"""Its JavaScript is in every page with a chart (`wire/text.py`)."""


@pytest.mark.checkout
def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    """A package that comes with another one goes when that one changes its mind; one that nothing imports is a risk."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name = lambda text: re.split(r"[<>=\[ ]", text)[0].lower()  # noqa: E731
    core = {name(text) for text in project["dependencies"]}
    extras = {
        name(text) for extra, texts in project["optional-dependencies"].items() if extra != "dev" for text in texts
    }
    imported = {word for path in module_files().values() for word in imported_names(path)}
    ours = {*PACKAGES, "_typeshed"}  # mypy's own, which exists for it alone
    others = {word for word in imported if word not in sys.stdlib_module_names and word not in ours}
    known = {OF_A_DISTRIBUTION.get(word, word.replace("_", "-")) for word in others}
    assert known - core - extras == set()
    assert core - known == NOT_IMPORTED


def imported_names(path):
    """First words of what a file imports, at its top or inside a function."""
    for line in re.finditer(r"^\s*(?:import|from) (\w+)", path.read_text(), flags=re.MULTILINE):
        yield line[1]
