"""Refuse a contract that breaks the released one, unless its version says so; `--release` keeps it as released."""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Version: TypeAlias = tuple[int, ...]
RELEASED = Path("contracts")
ALLOWED = ["enum-values-added"]  # the contract announces it: clients meet an unknown value calmly


def main(given: Sequence[str]) -> int:
    """Compare, and say what breaks. What comes back is the exit status."""
    parser = argparse.ArgumentParser(prog="diff.sh", description=__doc__)
    parser.add_argument("redocly", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("released", nargs="?", type=Path, default=newest(), help="default: the newest of contracts/")
    parser.add_argument("contract", nargs="?", type=Path, default=Path("openapi.yaml"))
    parser.add_argument("--release", action="store_true", help="keep the contract as contracts/<version>.yaml")
    options = parser.parse_args(given)
    if options.released is not None:
        broken = breaks(options.redocly, options.released, options.contract)
        before, now = version(options.released), version(options.contract)
        print(*broken, sep="\n", end="\n" if broken else "")
        if broken and not may_break(before, now):
            part = "major" if before[0] else "minor"
            print(f"diff: {spelt(now)} breaks {spelt(before)} in {len(broken)} places: it needs a new {part} version")
            return 1
    if options.release:
        RELEASED.mkdir(exist_ok=True)
        shutil.copyfile(options.contract, RELEASED / f"{spelt(version(options.contract))}.yaml")
    return 0


def newest() -> Path | None:
    """The contract that was released last, if one was."""
    return max(RELEASED.glob("*.yaml"), key=version, default=None)


def version(contract: Path) -> Version:
    document = yaml.load(contract.read_bytes(), Loader=yaml.CSafeLoader)
    return tuple(map(int, document["info"]["version"].split(".")))


def spelt(version: Version) -> str:
    return ".".join(map(str, version))


def may_break(before: Version, now: Version) -> bool:
    """Whether the new version says that something breaks: below 1.0.0 by its minor number, then by its major one."""
    significant = 1 if before[0] else 2
    return now[:significant] > before[:significant]


def breaks(redocly: Path, released: Path, contract: Path) -> list[str]:
    """What a client of the released contract would stumble over, each with its line."""
    command: list[str | Path] = [redocly, "diff", released, contract, "--format=json", "--fail-on=none"]
    command += [f"--skip-rule={rule}" for rule in ALLOWED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"diff: Redocly failed:\n{done.stdout}{done.stderr}")
    changes: list[dict[str, Any]] = json.loads(done.stdout)["changes"]
    found = [verdict for change in changes for verdict in change["verdicts"] if verdict["impact"] == "major"]
    return list(dict.fromkeys(map(line, found)))


def line(verdict: dict[str, Any]) -> str:
    place = verdict["location"]
    return f"{place['file']}:{place['line']}: {verdict['message']} ({verdict['ruleId']})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
