"""Build a wheel, install it in an environment of its own, and run the tests against it from outside the checkout.

The package names are generic and the data files must travel: only an installed wheel shows both.
Usage: python -m tests.wheel [ARGUMENT OF PYTEST ...]
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command, and stop with its exit code when it fails."""
    print("+", *(Path(part).name if isinstance(part, Path) else part for part in command), flush=True)
    code = subprocess.run([str(part) for part in command], cwd=cwd, check=False).returncode
    if code:
        raise SystemExit(code)


def main() -> None:
    """Build, install without dependencies beside this environment's own, and test."""
    with tempfile.TemporaryDirectory(prefix="peakday-wheel-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist")
        (wheel,) = (folder / "dist").glob("*.whl")
        # Dependencies come from this environment through a path file; the editable install must not.
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
        link_dependencies(python)
        # The tests leave the checkout, so that nothing but the wheel can answer to our names.
        (folder / "work").mkdir()
        for extra in (
            ".dockerignore",
            "tests",
            "bench",
            "study",
            "docs",
            "examples",
            "deploy",
            "pyproject.toml",
            "README.md",
            "CHANGELOG.md",
            "Makefile",
        ):
            source = ROOT / extra
            copy = copy_tree if source.is_dir() else shutil.copy
            if source.exists():
                copy(source, folder / "work" / extra)
        os.environ.setdefault("PEAKDAY_TRACES", str(ROOT.parent / "shared" / "traces"))
        os.environ["PEAKDAY_TESTS"] = "wheel"
        run(python, "-m", "pytest", *sys.argv[1:], cwd=folder / "work")


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder without the bytecode of another interpreter."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def link_dependencies(python: Path) -> None:
    """Let the new environment see this one's packages, without the path file of our editable install."""
    ours = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    theirs = next((python.parents[1] / "lib").glob("python3*")) / "site-packages"
    for package in ours.iterdir():
        if "peakday" in package.name.lower() or (theirs / package.name).exists():
            continue
        (theirs / package.name).symlink_to(package)


if __name__ == "__main__":
    main()
