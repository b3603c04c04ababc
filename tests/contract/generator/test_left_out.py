"""Media types that no code takes apart are refused, or left out and told where that is wanted."""

import json
from pathlib import Path

import pytest

from contract.generator.__main__ import generate
from contract.generator.lowering.requests import SKIP
from contract.generator.lowering.unimplemented import MOVE
from contract.generator.reading.document import InvalidContract
from tests.contract.small import Node, document

THING: Node = {"type": "object", "properties": {"a": {"type": "integer"}}}
XML = {"application/xml": {"schema": THING}}
JSON = {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
AT = "#/paths/~1it/post"
XML_AT = f"{AT}/requestBody/content/application~1xml/schema"
READ = "a schema of {type: string} gives it as a text, or take application/json"
TOLD = "would have to be taken apart"


def contract(body: Node, answer: Node, **schemas: Node) -> Node:
    paths = {
        "/it": {
            "post": {
                "requestBody": {"required": True, "content": body},
                "responses": {"200": {"description": "A.", "content": answer}},
            }
        }
    }
    return document(paths, components={"schemas": {"Thing": THING, **schemas}})


def generate_both(whole: Node, folder: Path) -> tuple[list[str], Node]:
    source = folder / "openapi.yaml"
    source.write_text(json.dumps(whole), encoding="utf-8")
    told = generate(source, folder / "out", skip_media_types=True).unusual
    served: Node = json.loads((folder / "out/openapi.json").read_bytes())
    return told, served["paths"]["/it"]["post"]


def test_they_are_left_out_and_told(tmp_path: Path) -> None:
    events = {"text/event-stream": {"schema": THING}}
    told, served = generate_both(contract({**XML, **JSON}, {**JSON, **XML, **events}), tmp_path)

    assert list(served["requestBody"]["content"]) == list(served["responses"]["200"]["content"]) == [*JSON]
    assert [line for line in told if "left out" in line] == [
        f"{AT}/requestBody/content/application~1xml: application/xml is left out: it {TOLD}",
        f"{AT}/responses/200/content/application~1xml: application/xml is left out: it {TOLD}",
        f"{AT}/responses/200/content/text~1event-stream: text/event-stream is left out: it {TOLD}",
    ]


def test_what_is_read_or_written_as_it_is_stays(tmp_path: Path) -> None:
    text = {"application/xml": {"schema": {"type": "string"}}, "text/csv": {}, "image/png": {}}
    lines = {"application/x-ndjson": {"x-itemSchema": {"$ref": "#/components/schemas/Thing"}}}
    form = {"application/x-www-form-urlencoded": {"schema": THING}}
    _, served = generate_both(contract({**text, **lines, **form}, {**text, **lines}), tmp_path)

    assert list(served["requestBody"]["content"]) == [*text, *lines, *form]
    assert list(served["responses"]["200"]["content"]) == [*text, *lines]


@pytest.mark.parametrize(
    ("whole", "place", "reason"),
    [
        (
            contract(XML, JSON),
            f"{AT}/requestBody/content/application~1xml/schema",
            f"application/xml is read as text, and not taken apart: {READ}, or {SKIP}",
        ),
        (
            contract(JSON, XML),
            f"{AT}/responses/200/content/application~1xml/schema",
            f"application/xml is written as text: give it {{type: string}}, or {SKIP}",
        ),
        (
            contract({**JSON, **XML}, JSON, Other={"$ref": XML_AT}),
            "#/components/schemas/Other",
            f"refers into a media type that is left out, {XML_AT}: {MOVE}",
        ),
    ],
)
def test_what_would_leave_nothing_behind_is_refused(tmp_path: Path, whole: Node, place: str, reason: str) -> None:
    with pytest.raises(InvalidContract) as invalid:
        generate_both(whole, tmp_path)

    assert [(one.place, one.reason) for one in invalid.value.found] == [(place, reason)]
