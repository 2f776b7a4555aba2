"""Environments of the clients, outside the checkout: one for Python's, one for Node's, one for each load generator."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PYTHON = (
    "boto3", "langchain-aws", "langchain-openai", "litellm", "openai", "pydantic-ai-slim[bedrock,openai]",
    "strands-agents[openai]>=1.60",
)  # fmt: skip
NODE = ("@aws-sdk/client-bedrock-runtime", "openai", "ai", "@ai-sdk/amazon-bedrock", "@ai-sdk/openai", "zod")
ALONE = ("guidellm", "aiperf")


@dataclass(frozen=True)
class Environments:
    """Their folder; each is made once, and again when what it holds is changed here."""

    root: Path

    def python(self, name: str, packages: tuple[str, ...]) -> Path:
        """The interpreter of an environment with these packages from PyPI."""
        folder = self.root / name
        interpreter = folder / "bin/python"
        wanted = "\n".join(packages)
        mark = self.root / f"{name}.txt"
        if not (mark.exists() and mark.read_text() == wanted and interpreter.exists()):
            print(f"making {folder}", file=sys.stderr)
            self.root.mkdir(parents=True, exist_ok=True)
            if shutil.which("uv"):
                subprocess.run(["uv", "venv", "-q", "--clear", folder], check=True)
                subprocess.run(["uv", "pip", "install", "-q", "--python", interpreter, *packages], check=True)
            else:
                subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
                subprocess.run([interpreter, "-m", "pip", "install", "-q", *packages], check=True)
            mark.write_text(wanted)
        return interpreter

    def node(self) -> Path:
        """A folder with the packages from npm."""
        folder = self.root / "node"
        mark = self.root / "node.txt"
        wanted = "\n".join(NODE)
        if not (mark.exists() and mark.read_text() == wanted):
            print(f"making {folder}", file=sys.stderr)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "package.json").write_text('{"name": "clients", "private": true}')
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", *NODE], cwd=folder, check=True)
            mark.write_text(wanted)
        return folder


def python_versions(interpreter: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """The versions that are installed, by package."""
    names = [package.partition("[")[0].partition(">")[0] for package in packages]
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    shown = subprocess.run([interpreter, "-c", code, *names], check=True, capture_output=True, text=True).stdout
    return dict(zip(names, shown.split(), strict=True))


def node_versions(folder: Path) -> dict[str, str]:
    """The same of Node's packages."""
    return {name: json.loads((folder / "node_modules" / name / "package.json").read_text())["version"] for name in NODE}
