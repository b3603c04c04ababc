"""What the engine does with each word of OpenAPI 3.1: the cases of support.yaml, told by contract/README.md."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import MISSING
from pydantic_core import to_json, to_jsonable_python

from contract.exchange import Exchange
from contract.generator.lowering.shapes import DEFINED, NAMED
from contract.types import Array, ContractError, Json, Members, Problem, Result, Scalar
from scripts import support
from tests.contract.small import NOTHING, Node, Small, Told, document, package, refusals

CASES: list[Node] = support.cases()
BY_KIND: dict[str, list[Node]] = {kind: [case for case in CASES if kind in case] for kind in support.KINDS}
ONE: Node = {name: case for case in CASES if "schemas" in case for name, case in case["schemas"].items()}
TEXTS: dict[tuple[str, bool, type], str] = {
    ("simple", False, Scalar): "blue",
    ("simple", True, Scalar): "blue",
    ("simple", False, Array): "blue,black",
    ("simple", True, Array): "blue,black",
    ("simple", False, Members): "R,100,G,200",
    ("simple", True, Members): "R=100,G=200",
    ("label", False, Scalar): ".blue",
    ("label", True, Scalar): ".blue",
    ("label", False, Array): ".blue,black",
    ("label", True, Array): ".blue.black",
    ("label", False, Members): ".R,100,G,200",
    ("label", True, Members): ".R=100.G=200",
    ("matrix", False, Scalar): ";color=blue",
    ("matrix", True, Scalar): ";color=blue",
    ("matrix", False, Array): ";color=blue,black",
    ("matrix", True, Array): ";color=blue;color=black",
    ("matrix", False, Members): ";color=R,100,G,200",
    ("matrix", True, Members): ";R=100;G=200",
    ("form", False, Scalar): "color=blue",
    ("form", True, Scalar): "color=blue",
    ("form", False, Array): "color=blue,black",
    ("form", True, Array): "color=blue&color=black",
    ("form", False, Members): "color=R,100,G,200",
    ("form", True, Members): "R=100&G=200",
    ("spaceDelimited", False, Array): "color=blue%20black",
    ("spaceDelimited", False, Members): "color=R%20100%20G%20200",
    ("pipeDelimited", False, Array): "color=blue%7Cblack",
    ("pipeDelimited", False, Members): "color=R%7C100%7CG%7C200",
    ("deepObject", True, Members): "color[R]=100&color[G]=200",
}
"""How OpenAPI 3.1.1 writes the values below (4.8.12.6)."""
VALUES: dict[type, Any] = {Scalar: "blue", Array: ["blue", "black"], Members: {"R": 100, "G": 200}}
NUMBER: Node = {"type": "integer"}
SCHEMAS: dict[type, Node] = {
    Scalar: {"type": "string"},
    Array: {"type": "array", "items": {"type": "string"}},
    Members: {"type": "object", "properties": {"R": NUMBER, "G": NUMBER}},
}
COMBINATIONS = [
    (where, style, explode, shape)
    for (where, style), defined in DEFINED.items()
    for explode in (False, True)
    for shape in NAMED
]


class Key:
    """An authenticator that takes one value of one header."""

    def __init__(self, name: str) -> None:
        self.name = f"X-{name}"

    async def __call__(self, exchange: Exchange, _scopes: Sequence[str], /) -> str | None:
        return "a caller" if exchange.header(self.name) == "good" else None


def whole(fragment: Node) -> Node:
    """A document of the fragment."""
    return support.merge_fragment(document({}), fragment)


def plain(value: Any) -> Any:
    """A value as JSON; what is missing is a word."""
    if value is MISSING:
        return "<missing>"
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return to_jsonable_python(value)


def test_every_word_of_the_specification_has_one_verdict() -> None:
    told = [(row.kind, row.name) for row in support.rows()]

    assert len(told) == len(set(told))
    assert set(told) == support.words()


@pytest.mark.parametrize("case", BY_KIND["works"], ids=lambda case: "+".join(case["works"]))
async def test_what_works(tmp_path: Path, case: Node) -> None:
    contract = whole(case["document"])
    schemes = contract.get("components", {}).get("securitySchemes", {})
    small = Small(contract, tmp_path, authenticators={name: Key(name) for name in schemes}, **case.get("settings", {}))

    for ask in case["asks"]:
        await try_request(small, ask)
    code = (tmp_path / f"small_{tmp_path.name}" / "operations.py").read_text(encoding="utf-8")
    assert [text for text in case.get("code", ()) if text not in code] == []


async def try_request(small: Small, ask: Node) -> None:
    """Send a request, and hold what comes of it to what is expected."""
    method, _, target = ask["send"].partition(" ")
    sent: Node = {"headers": ask.get("headers", {}), "body": ask.get("body", "").encode()}
    if "refused" in ask:
        status, places = await small.refusal(method, target, **sent)
        assert status == ask["refused"], ask
        assert [place for place, _ in places] == ask.get("places", [place for place, _ in places]), ask
    elif "returns" in ask:
        await check_answer(small, ask, method, target, sent)
    else:
        given = await small.arguments_of(method, target, **sent)
        assert "given" not in ask or plain(given) == ask["given"], ask
        assert small.last is not None
        assert small.last.id == ask.get("by", small.last.id), ask


async def check_answer(small: Small, ask: Node, method: str, target: str, sent: Node) -> None:
    async def answer(_exchange: Exchange, _arguments: Mapping[str, Any]) -> Result:
        told = {name: Json(to_json(value)) if name == "body" else value for name, value in ask["with"].items()}
        return getattr(small.operations, ask["returns"])(**told)  # type: ignore[no-any-return]

    small.doing(answer)
    if "fails" in ask:
        with pytest.raises(ContractError, match=ask["fails"]):
            await small.send(method, target, **sent)
        return
    made = await small.send(method, target, **sent)
    assert made.status == ask["answered"], ask
    headers = dict(made.headers)
    assert {name: headers.get(name) for name in ask.get("headers_are", {})} == ask.get("headers_are", {}), ask
    assert "body_is" not in ask or made.body == ask["body_is"].encode(), ask


@pytest.mark.parametrize("case", BY_KIND["ignored"], ids=lambda case: "+".join(case["ignored"]))
def test_what_is_ignored(tmp_path: Path, case: Node) -> None:
    """The code is the same with the words and without them, and each word is among them."""
    codes = []
    for name, fragment in (("with", case["with"]), ("without", {})):
        folder = tmp_path / name
        folder.mkdir()
        package(support.merge_fragment(whole(case["document"]), fragment), folder)
        made = folder / f"small_{name}"
        codes.append([(made / one).read_text(encoding="utf-8") for one in ("operations.py", "models.py")])
    text = json.dumps(case["with"])

    assert codes[0] == codes[1]
    for rows in case["ignored"].values():
        assert [word for word in rows if word.isidentifier() and f'"{word}"' not in text] == []


@pytest.mark.parametrize("case", BY_KIND["refused"], ids=lambda case: "+".join(case["refused"]))
def test_what_is_refused(tmp_path: Path, case: Node) -> None:
    for words in case["refused"].values():
        for word, fragment in words.items():
            found = refusals(
                support.merge_fragment(whole(case["document"]), support.below(case["at"], fragment)), tmp_path
            )

            assert [place.rpartition("/")[2] for place, _ in found] == [word]
            assert found[0][1] == case["reason"]


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """An operation for each keyword of schemas, with a body that it says something of."""
    [case] = BY_KIND["schemas"]
    paths = {
        f"/{number}": {
            "post": {
                "operationId": f"post{number}",
                "requestBody": {"required": True, "content": {"application/json": {"schema": one["schema"]}}},
                "responses": NOTHING,
            }
        }
        for number, one in enumerate(case["schemas"].values())
    }
    return Small(document(paths, components=case["components"]), tmp_path_factory.mktemp("judging"))


@pytest.mark.parametrize("word", ONE)
async def test_what_a_keyword_takes_and_refuses(judging: Small, word: str) -> None:
    number = list(ONE).index(word)
    asked = {"headers": {"Content-Type": "application/json"}}

    assert f'"{word}"' in json.dumps(ONE[word]["schema"])
    for value in ONE[word]["takes"]:
        with pytest.raises(Told):
            await judging.send("POST", f"/{number}", body=json.dumps(value).encode(), **asked)
    for value in ONE[word]["refuses"]:
        with pytest.raises(Problem) as refused:
            await judging.send("POST", f"/{number}", body=json.dumps(value).encode(), **asked)
        assert (refused.value.status, len(refused.value.errors) > 0) == (422, True)


def parameter(where: str, style: str, explode: bool, shape: type) -> Node:  # noqa: FBT001
    name = "X-Color" if where == "header" else "color"
    told: Node = {"name": name, "in": where, "style": style, "explode": explode, "schema": SCHEMAS[shape]}
    return told | ({"required": True} if where == "path" else {})


async def test_every_style_reads_what_it_is_defined_for(tmp_path: Path) -> None:
    defined = [one for one in COMBINATIONS if one[3] in DEFINED[one[0], one[1]][one[2]]]
    paths: Node = {}
    for number, one in enumerate(defined):
        at = f"/{number}/{{color}}" if one[0] == "path" else f"/{number}"
        paths[at] = {"get": {"operationId": f"get{number}", "parameters": [parameter(*one)], "responses": NOTHING}}
    small = Small(document(paths), tmp_path)

    for number, (where, style, explode, shape) in enumerate(defined):
        text = TEXTS[style, explode, shape]
        target = {"path": f"/{number}/{text}", "query": f"/{number}?{text}"}.get(where, f"/{number}")
        headers = {"header": {"X-Color": text}, "cookie": {"Cookie": text}}.get(where, {})
        [(_, value)] = (await small.arguments_of("GET", target, headers=headers)).items()
        assert plain(value) == VALUES[shape], (where, style, explode, shape)


@pytest.mark.parametrize(
    "combination",
    [one for one in COMBINATIONS if one[3] not in DEFINED[one[0], one[1]][one[2]]],
    ids=lambda one: f"{one[0]}-{one[1]}-{one[2]}-{one[3].__name__}",
)
def test_a_style_is_refused_for_what_it_is_not_defined_for(
    tmp_path: Path, combination: tuple[str, str, bool, type]
) -> None:
    operation = {"operationId": "getIt", "parameters": [parameter(*combination)], "responses": NOTHING}
    [(place, reason)] = refusals(document({"/it": {"get": operation}}), tmp_path)

    assert place.startswith("#/paths/~1it/get/parameters/0")
    assert "is not defined" in reason


def test_the_page_is_fresh() -> None:
    assert support.main(["--check"]) == 0
