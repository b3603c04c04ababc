"""The generators, and what a test does with the package of one: copies, installs, compiles and drives it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.system.services import install_packages

Node: TypeAlias = dict[str, Any]
ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
GENERATORS: dict[str, Node] = yaml.safe_load((HERE / "generators.yaml").read_text(encoding="utf-8"))
PATIENCE = 600  # seconds that a program may take on a busy machine
END = "The journey ended well."
COMPILED = re.compile(r"^\s*\"(no\w+|strict|exact\w+|verbatim\w+)\": true", re.MULTILINE)
LOCKED = re.compile(r"^([\w-]+)==([\w.]+)", re.MULTILINE)


def copy(name: str, folder: Path) -> Path:
    """The package of a generator in a folder of its own, beside the contract."""
    shutil.copytree(HERE / GENERATORS[name]["folder"], folder, dirs_exist_ok=True)
    shutil.copy(ROOT / "openapi.yaml", folder)
    return folder


def run(folder: Path, *command: str | Path, **variables: str) -> str:
    """What the command says, which has to end well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}"
    return done.stdout


def install_requirements(folder: Path) -> Path:
    """Where the programs are that the folder's requirements.txt names."""
    run(folder, sys.executable, "-m", "venv", "environment")
    programs = folder / "environment" / "bin"
    run(folder, programs / "pip", "install", "--quiet", "--require-hashes", "--requirement", "requirements.txt")
    return programs


def drive_typescript(folder: Path, url: str) -> Node:
    """What the table says of a client in TypeScript, when it has been compiled and driven."""
    install_packages(folder)
    if "generate" in json.loads((folder / "package.json").read_text(encoding="utf-8"))["scripts"]:
        run(folder, "npm", "run", "generate")
    run(folder, "npm", "run", "compile")
    assert END in run(folder, "npm", "run", "journey", DOCKET=url)
    return {"compiled": strictness(folder), "journey": "journey.ts"}


def strictness(folder: Path) -> str:
    """How strict the compiler was: the switches that another package has and this one has not."""
    switches = {
        path.parent.name: set(COMPILED.findall(path.read_text(encoding="utf-8")))
        for path in HERE.glob("*/tsconfig.json")
    }
    mine = set(COMPILED.findall((folder / "tsconfig.json").read_text(encoding="utf-8")))
    missing = sorted(set().union(*switches.values()) - mine)
    return "yes" + (f", without {', '.join(f'`{one}`' for one in missing)}" if missing else "")


def version(name: str) -> str:
    """The locked release of a generator."""
    package = name.partition(" ")[0]
    if package == "openapi-generator":
        return locked_release("openapi-generator", "openapi-generator-cli")
    folder = GENERATORS[name]["folder"]
    if not (HERE / folder / "package.json").exists():
        return locked_release(folder, package)
    found: str = json.loads((HERE / folder / "package.json").read_text(encoding="utf-8"))["devDependencies"][package]
    return found


def locked_release(folder: str, package: str) -> str:
    """The release of a package in Python."""
    releases: dict[str, str] = dict(LOCKED.findall((HERE / folder / "requirements.txt").read_text(encoding="utf-8")))
    return releases[package]


def read_promises(name: str, generated: Path) -> list[str]:
    """What the table says of promises that are not kept, when each was found kept, or not, as the list says."""
    told = []
    for promise, (path, text) in GENERATORS[name].get("keeps", {}).items():
        assert text in (generated / path).read_text(encoding="utf-8"), f"{name}: {path} has no {text} ({promise})"
    for promise, (path, text, remark) in GENERATORS[name].get("lacks", {}).items():
        assert text in (generated / path).read_text(encoding="utf-8"), f"{name}: {path} has no {text} ({promise})"
        told.append(remark)
    return told
