"""A Dockerfile carried out in a folder in place of `/`, where no container daemon is.

Every COPY and RUN is done as it stands, its absolute paths moved under the folder. One RUN is not: the list of
locked requirements is not downloaded again, its packages are those of this environment, through a path file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

_ABSOLUTE = re.compile(r"(?<![\w./*:-])/(?=(?:opt|src|wheels|var|runs|usr/local/bin)\b)")


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, the rest of its line), continued lines joined."""
    return re.findall(r"^([A-Z]+) (.*)$", text.replace("\\\n", " "), flags=re.MULTILINE)


@dataclass
class DryBuild:
    """One build: `root` is what would be the image's file system, `environment` its ENV at the end of a stage."""

    context: Path
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    entry_points: dict[str, list[str]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    folder: str = "/"

    def carry_out(self, text: str) -> None:
        """Every stage, in order."""
        stage, environments = "", {}
        for name, rest in instructions(text):
            if name == "FROM":
                base, _, stage = rest.partition(" AS ")
                self.environment = dict(environments.get(base, {"PATH": os.environ["PATH"]}))
            elif name == "ENV":
                self._set(rest)
            elif name == "WORKDIR":
                self.folder = rest
                self.at(rest).mkdir(parents=True, exist_ok=True)
            elif name == "COPY":
                self._copy(rest.split())
            elif name == "RUN":
                self._run(rest)
            elif name == "ENTRYPOINT":
                self.entry_points[stage] = re.findall(r'"([^"]+)"', rest)
            environments[stage] = self.environment

    def at(self, path: str) -> Path:
        """A path of the image under our root."""
        return self.root / path.lstrip("/")

    def moved(self, text: str) -> str:
        """The same text, its absolute paths under our root."""
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command in the image's working folder, with its ENV."""
        environment = {"HOME": str(self.root / "tmp")} | self.environment
        return subprocess.run(
            command, cwd=self.at(self.folder), env=environment, capture_output=True, text=True, check=False
        )

    def _set(self, rest: str) -> None:
        for name, value in re.findall(r"(\w+)=(\S+)", rest):
            self.environment[name] = self.moved(value).replace("$PATH", self.environment.get("PATH", ""))

    def _copy(self, words: list[str]) -> None:
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
        *sources, target = [word for word in words if not word.startswith("--")]
        place = self.at(target if target.startswith("/") else f"{self.folder}/{target}")
        if "chown" in options:
            self.owners[target] = options["chown"]
        for source in sources:
            if "from" in options:
                assert self.at(source).exists(), f"COPY {source}: no earlier stage made it"
            elif (self.context / source).is_dir():
                shutil.copytree(self.context / source, place, dirs_exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.context / source, place)

    def _run(self, line: str) -> None:
        if "--require-hashes" in line:
            name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
            site = self.at("/opt/peakday") / "lib" / name / "site-packages"
            ours = [path for path in sys.path if Path(path).name == "site-packages"]
            (site / "locked.pth").write_text("".join(f"{path}\n" for path in ours))
            return
        done = self.execute("sh", "-ec", self.moved(line))
        assert done.returncode == 0, f"RUN {line}\n{done.stdout}{done.stderr}"


def context_of(checkout: Path, folder: Path) -> Path:
    """What the builder is sent: what git tracks and .dockerignore admits."""
    kept = [line[1:] for line in (checkout / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    listed = subprocess.run(["git", "ls-files"], cwd=checkout, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if any(name == one or name.startswith(f"{one}/") or fnmatch(name, one) for one in kept):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(checkout / name, place)
    return folder
