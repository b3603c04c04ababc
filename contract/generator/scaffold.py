"""Writes the beginning of a server: handlers and authenticators yet to be written, and what puts them together."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import jinja2

from contract.generator.lowering.ir import Tag
from contract.generator.lowering.parser import Contract
from contract.generator.names import argument, snake
from contract.servers import usual

TIDY = ("ruff", "check", "--quiet", "--no-cache", "--isolated", "--fix", "--select", "F401,I", "--line-length", "120")
FORMAT = ("ruff", "format", "--quiet", "--no-cache", "--isolated", "--line-length", "120")
NAME = re.compile(r"[A-Za-z_]\w*")


def scaffold(contract: Contract, source: Path, folder: Path, templates: jinja2.Environment, options: str) -> None:
    """Write the files beside generated/, which is there; `options` are those of the command that makes it anew."""
    templates.filters["argument"] = lambda name: argument(name, "#/components/securitySchemes")
    copied = f"openapi{source.suffix}"
    shutil.copyfile(source, folder / copied)
    texts: dict[str, dict[str, object]] = {
        "server.py": {"base": base_of(contract)},
        "pyproject.toml": {"source": copied, "options": options},
    }
    if contract.schemes:
        texts["authenticators.py"] = {}
    for name, more in texts.items():
        text = templates.get_template(f"{name}.jinja").render(contract=contract, **more)
        (folder / name).write_text(text, encoding="utf-8")
    handlers = folder / "handlers"
    handlers.mkdir()
    (handlers / "__init__.py").write_text('"""What each operation does, by tag."""\n', encoding="utf-8")
    for tag in contract.tags:
        text = templates.get_template("handlers.py.jinja").render(tag=tag, names=names_of(contract, tag))
        (handlers / f"{snake(tag.name)}.py").write_text(text, encoding="utf-8")
    for command in (TIDY, FORMAT):
        made = ["handlers", *[name for name in texts if name.endswith(".py")]]
        subprocess.run([sys.executable, "-m", *command, *made], cwd=folder, check=True)


def names_of(contract: Contract, tag: Tag) -> list[str]:
    """What the handlers of a tag may need of the generated code."""
    results = {result.name for operation in tag.operations for result in operation.results}
    bodies = {word for o in tag.operations if o.body for word in NAME.findall(o.body.type)}
    ours = {form.type for form in contract.forms} | {str(content.wrapper) for content in contract.wrapped_contents}
    return sorted(results | (bodies & ours)) or ["OPERATIONS"]


def base_of(contract: Contract) -> str:
    """The path of the first server."""
    return usual(next((operation.servers[0] for operation in contract.operations), ""))


def target_of(contract: Contract) -> str:
    """What to ask a new server for."""
    asked = sorted(contract.operations, key=lambda operation: (operation.path.count("{"), operation.method != "GET"))
    return f"{base_of(contract)}{asked[0].path}" if asked else "/"
