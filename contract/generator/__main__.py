"""Write generated/ from openapi.yaml: models by datamodel-code-generator, the rest by our templates."""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jinja2
from typing_extensions import override

from contract.generator.document import InvalidContract, Node, Refused, line_of, load
from contract.generator.names import pascal, snake
from contract.generator.parser import Contract

MODELS = shlex.split("""
    --ignore-pyproject --input-file-type openapi --schema-version 3.1 --schema-version-mode strict
    --strict-refs --no-allow-remote-refs
    --preset standard-py311-20261027 --formatters builtin --openapi-scopes schemas api --use-operation-id-as-name
    --use-missing-sentinel --target-pydantic-version 2.14 --no-collapse-root-models --use-type-alias-type
    --no-allow-population-by-field-name --no-use-frozen-field --use-schema-description --use-field-description
    --use-single-line-docstring --enable-generated-header-marker
    --type-mappings string+email=string string+uri=string string+uri-reference=string string+password=string
""")
# The document's own schemas hold the pattern; the model gets an instant, for which pydantic takes none.
QUIET = "ignore:Pydantic does not take pattern on AwareDatetime"

INIT = '"""Written by scripts/regen.sh from openapi.yaml; do not edit."""\n'


def write_models(document: str, out: Path) -> dict[str, str]:
    """Write models.py. Answers the name of each schema by its JSON Pointer."""
    with tempfile.TemporaryDirectory() as folder:  # where no pyproject.toml is near that would change the layout
        source, models, metadata = (Path(folder) / name for name in ("openapi.yaml", "models.py", "models.json"))
        source.write_text(document, encoding="utf-8")  # JSON is YAML, and leaves nothing to interpretation
        command = [sys.executable, "-W", QUIET, "-m", "datamodel_code_generator", *MODELS]
        command += ["--input", source.name, "--output", str(models), "--emit-model-metadata", str(metadata)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            place = re.search(r"openapi\.yaml(#/[^\s']*)", said)
            reason = f"datamodel-code-generator makes no model of it: {' '.join(said.split())}"
            raise InvalidContract([Refused(place[1] if place else "#", reason)])
        sys.stderr.write(done.stderr)
        shutil.copyfile(models, out / "models.py")
        described = json.loads(metadata.read_text(encoding="utf-8"))
    return {m["source_ref"][m["source_ref"].index("#") :]: m["class_name"] for m in described["models"]}


def docstring(text: str) -> str:
    """The text as it stands between triple quotes."""
    return re.sub(r'\\|"(?=""|$)', r"\\\g<0>", text.strip())


def render(contract: Contract) -> str:
    """The text of operations.py."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - what is written is Python, quoted by the filters below
    )
    templates.filters |= {"snake": snake, "pascal": pascal, "docstring": docstring, "literal": repr}
    return templates.get_template("operations.py.jinja").render(contract=contract)


def generate(source: Path, out: Path) -> None:
    """Write models.py, operations.py, openapi.json. Raises InvalidContract, and then has written nothing."""
    try:
        document: Node = load(source)
    except Refused as refused:
        raise InvalidContract([refused]) from None
    Contract(document, Everything())  # so that the place is named in the contract's own words
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "generated"
        made.mkdir()
        contract = Contract(document, write_models(text, made))
        (made / "operations.py").write_text(render(contract), encoding="utf-8")
        (made / "openapi.json").write_text(text, encoding="utf-8")
        (made / "__init__.py").write_text(INIT, encoding="utf-8")
        layout = ["ruff", "format", "--quiet", "--no-cache", "--isolated", "--line-length", "120"]
        subprocess.run([sys.executable, "-m", *layout, "operations.py", "models.py"], cwd=made, check=True)
        shutil.copytree(made, out, dirs_exist_ok=True)


class Everything(dict[str, str]):
    """Names for all schemas, before they have any."""

    @override
    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return key


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        generate(arguments.source.resolve(), arguments.out.resolve())
    except InvalidContract as invalid:
        print(*lines(invalid, arguments.source), sep="\n", file=sys.stderr)
        return 1
    return 0


def lines(invalid: InvalidContract, source: Path) -> list[str]:
    """Each place that is refused, in the order of the document: the file and line, the place in it, the reason."""
    text = source.read_text(encoding="utf-8", errors="replace")
    placed = sorted({(line_of(text, refused.place), refused.place, refused.reason) for refused in invalid.found})
    return [f"{source.name}:{line}: {place}: {reason}" for line, place, reason in placed]


if __name__ == "__main__":
    sys.exit(main())
