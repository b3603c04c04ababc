"""Write generated/ from openapi.yaml: models by datamodel-code-generator, the rest by our templates."""

import argparse
import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import datamodel_code_generator.__main__
import jinja2
from typing_extensions import override

from contract.generator.discriminators import check_discriminators
from contract.generator.document import Findings, InvalidContract, Lines, Node, Refused, load
from contract.generator.grammar import Placed
from contract.generator.judging import judge
from contract.generator.modelling import Modelling
from contract.generator.names import pascal, snake
from contract.generator.normal_form import spell_out
from contract.generator.parser import Contract, Kinds, Rule, no_kinds
from contract.generator.references import References, insert_path_items
from contract.generator.values import check_values
from contract.generator.versions import read_document

MODELS = shlex.split("""
    --ignore-pyproject --input-file-type openapi --schema-version 3.1 --schema-version-mode strict
    --strict-refs --no-allow-remote-refs
    --preset standard-py311-20261027 --formatters builtin --openapi-scopes schemas api --use-operation-id-as-name
    --use-missing-sentinel --target-pydantic-version 2.14 --no-collapse-root-models --use-type-alias-type
    --no-allow-population-by-field-name --no-use-frozen-field --use-schema-description --use-field-description
    --use-single-line-docstring --enable-generated-header-marker
    --type-mappings string+email=string string+uri=string string+uri-reference=string string+password=string
    string+byte=string string+duration=string string+time=string string+path=string string+idn-email=string
    string+hostname=string string+decimal=string string+integer=string string+unixtime=string string+ulid=string
    string+ipv4=string string+ipv6=string string+ipv4-network=string string+ipv6-network=string
    string+date-time-local=string string+time-local=string
""")
NO_MODELS = '"""The contract has no schemas."""\n'
INIT = '"""Written by scripts/regen.sh from openapi.yaml; do not edit."""\n'


def write_models(modelled: Node, out: Path) -> dict[str, str]:
    """Write models.py. Answers the name of each schema by its JSON Pointer. Raises InvalidContract."""
    with tempfile.TemporaryDirectory() as folder:  # where no pyproject.toml is near that would change the layout
        source, models, metadata = (Path(folder) / name for name in ("openapi.yaml", "models.py", "models.json"))
        source.write_text(json.dumps(modelled), encoding="utf-8")  # JSON is YAML, and leaves nothing to interpretation
        options = [*MODELS, "--input", str(source), "--output", str(models), "--emit-model-metadata", str(metadata)]
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                done: int = datamodel_code_generator.__main__.main(options)
            except Exception as error:  # noqa: BLE001 - what it meets is a document of others
                print(f"{type(error).__name__}: {error}", file=said)
                done = 1
        if done:
            place = re.search(r"openapi\.yaml(#/[^\s']*)", said.getvalue())
            reason = f"datamodel-code-generator makes no model of it: {' '.join(said.getvalue().split())}"
            raise InvalidContract([Refused(place[1] if place else "#", reason)])
        if not models.exists():  # there is no schema
            (out / "models.py").write_text(NO_MODELS, encoding="utf-8")
            return {}
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


def generate(source: Path, out: Path, rules: Sequence[Rule] = (), kinds: Kinds = no_kinds) -> list[str]:
    """Write models.py, operations.py, openapi.json. Raises InvalidContract, and then has written nothing.

    What comes back is what is answered otherwise than usual.
    """
    document = load(source)
    findings = Findings()
    placed = understand(document, findings)
    unusual: list[str] = []
    try:
        unusual = Contract(document, Everything(), rules, kinds).unusual  # it names places in the document
    except InvalidContract as invalid:
        findings.found += invalid.found
    findings.close()
    modelling = Modelling(document, placed, findings)
    findings.close()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "generated"
        made.mkdir()
        names = write_models(modelling.result, made)
        names |= {place: names[component] for place, component in modelling.classes.items()}
        contract = Contract(document, names, kinds=kinds)
        text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
        (made / "operations.py").write_text(render(contract), encoding="utf-8")
        (made / "openapi.json").write_text(text, encoding="utf-8")
        (made / "__init__.py").write_text(INIT, encoding="utf-8")
        layout = ["ruff", "format", "--quiet", "--no-cache", "--isolated", "--line-length", "120"]
        subprocess.run([sys.executable, "-m", *layout, "operations.py", "models.py"], cwd=made, check=True)
        judge(made, document, contract)
        print(*told(findings.doubts, source), sep="\n", end="" if not findings.doubts else "\n", file=sys.stderr)
        shutil.copytree(made, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return unusual


def understand(document: Node, findings: Findings) -> list[Placed]:
    """The nodes of the document, in the words of OpenAPI 3.1 and each in full. Raises InvalidContract."""
    placed = read_document(document, findings)
    References(document, placed, findings)
    if insert_path_items(document, placed):
        placed = read_document(document, findings)
    spell_out(placed)
    check_discriminators(document, placed, findings)
    check_values(document, placed, findings)
    return placed


class Everything(dict[str, str]):
    """Names for all schemas, before they have any."""

    @override
    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return key


def main(rules: Sequence[Rule] = (), kinds: Kinds = no_kinds) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        unusual = generate(arguments.source.resolve(), arguments.out.resolve(), rules, kinds)
    except InvalidContract as invalid:
        print(*told(invalid.found, arguments.source), sep="\n", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - nothing is written yet
        mistake = f"{type(error).__name__}: {' '.join(str(error).split())}"
        print(
            f"{arguments.source.name}:1: #: is more than the generator knows of, by a mistake of its own: {mistake}",
            file=sys.stderr,
        )
        return 1
    if unusual and not rules:
        print(*unusual, sep="\n")
    return 0


def told(found: Sequence[Refused], source: Path) -> list[str]:
    """Each place that is refused, in the order of the document: the file and line, the place in it, the reason."""
    text = source.read_text(encoding="utf-8", errors="replace")
    line = Lines(text)
    placed = sorted({(line.of(refused.place), refused.place, refused.reason) for refused in found})
    return [f"{source.name}:{line}: {place}: {reason}" for line, place, reason in placed]


if __name__ == "__main__":
    sys.exit(main())
