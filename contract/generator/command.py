"""The command `contract`: makes the code of a document, or the beginning of a server for it."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from contract.generator.__main__ import (
    MISUSED,
    REFUSED,
    SKIP,
    Choices,
    Made,
    add_choices,
    add_skip,
    attempt,
    choices_of,
    generate,
    tell_unusual,
    templates_of,
    unreadable,
    write,
)
from contract.generator.scaffold import scaffold, target_of
from contract.refusals import CONDITIONS

ABOUT = """Makes a server of an OpenAPI 3.1 document (3.0 and 3.2 as far as they mean the same).

A document that no server can be made of is refused: each place is told with its line and the reason, on a line of its
own, and nothing is written. The exit status is 0, 1 for a document that is refused, 2 for a command that is none."""
NEXT = """{folder} has a server of {source}: {operations} operations, none of them written yet. Try it:

  cd {folder}
  mypy                # names each handler that is not written
  uvicorn server:app  # starts, and answers 501 problems
  curl http://127.0.0.1:8000{target}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Answers the exit status."""
    given = parser_of().parse_args(arguments)
    if given.command == "generate":
        return write(given.source, given.out, choices_of(given))
    return new(given.source, given.folder, choices_of(given))


def parser_of() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="contract", description=ABOUT, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    told = "make the code of a document anew: models, results, and what handlers must be"
    generate = commands.add_parser("generate", help=told, description=f"{told[:1].upper()}{told[1:]}.")
    generate.add_argument("source", type=Path, metavar="SOURCE", help="the document: YAML or JSON")
    generate.add_argument("--out", type=Path, default=Path("generated"), help="the folder (%(default)s)")
    told = "make a folder with a server for a document, whose handlers are yet to be written"
    new = commands.add_parser("new", help=told, description=f"{told[:1].upper()}{told[1:]}.")
    new.add_argument("folder", type=Path, metavar="FOLDER", help="the folder, which does not exist or is empty")
    new.add_argument("--from", type=Path, required=True, dest="source", metavar="SOURCE", help="the document")
    add_choices(generate)
    add_skip(new)
    new.set_defaults(conditions=CONDITIONS)  # those of the server that it makes
    return parser


def new(source: Path, folder: Path, chosen: Choices) -> int:
    """Make the folder of a server, and tell how to go on."""
    if wrong := unreadable(source) or explain_taken(folder):
        print(wrong, file=sys.stderr)
        return MISUSED
    made = attempt(source, lambda: begin(source.resolve(), folder.resolve(), chosen))
    if made is None:
        return REFUSED
    contract = made.contract
    told = {"source": source.name, "operations": len(contract.operations), "target": target_of(contract)}
    print(NEXT.format(folder=folder, **told), end="")
    tell_unusual(made)
    return 0


def explain_taken(folder: Path) -> str | None:
    """Why the folder cannot be that of a new server."""
    if folder.exists() and not folder.is_dir():
        return f"{folder} is a file: name a folder"
    if folder.exists() and any(folder.iterdir()):
        again = folder / "generated"
        return f"{folder} is not empty: name another folder, or make the code anew: contract generate ... --out {again}"
    return None


def begin(source: Path, folder: Path, chosen: Choices) -> Made:
    """Make the files in a folder of their own, and copy them when all are there."""
    with tempfile.TemporaryDirectory() as temporary:
        apart = Path(temporary) / "new"
        made = generate(source, apart / "generated", **chosen._asdict())
        scaffold(made.contract, source, apart, templates_of(), f" {SKIP}" if chosen.skip_media_types else "")
        shutil.copytree(apart, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return made


if __name__ == "__main__":
    sys.exit(main())
