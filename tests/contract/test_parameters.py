"""Parameters of every place and style that OpenAPI defines, read as what their schemas say, or refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import MISSING

from tests.contract.small import NOTHING, Node, Small, document, refusals

OBJECT: Node = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}}
FILTER: Node = {"$ref": "#/components/schemas/Filter"}
INTEGERS: Node = {"type": "array", "items": {"type": "integer"}}
TEXTS: Node = {"type": "array", "items": {"type": "string"}}
ONE_OR_MANY: Node = {"anyOf": [{"type": "string", "maxLength": 3}, TEXTS]}
COMPONENTS: Node = {
    "schemas": {
        "Filter": OBJECT,
        "Count": {"type": "integer", "minimum": 1},
        "Closed": {**OBJECT, "additionalProperties": False, "required": ["a"]},
        "Counts": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
}
EITHER: Node = {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string", "pattern": "^a"}]}


def query(name: str, schema: Node, **more: Any) -> Node:
    return {"name": name, "in": "query", "schema": schema, **more}


def ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def path_of(name: str, schema: Node, **more: Any) -> Node:
    return {"name": name, "in": "path", "required": True, "schema": schema, **more}


def header(name: str, schema: Node, **more: Any) -> Node:
    return {"name": name, "in": "header", "schema": schema, **more}


def cookie(name: str, schema: Node, **more: Any) -> Node:
    return {"name": name, "in": "cookie", "schema": schema, **more}


def get(operation_id: str, *parameters: Node, **more: Any) -> Node:
    return {"get": {"operationId": operation_id, "parameters": list(parameters), "responses": NOTHING, **more}}


QUERY = [
    query("any", {}),
    query("number", {"type": "number", "format": "double"}),
    query("int", {"type": "integer"}),
    query("nullable", {"type": ["integer", "null"]}),
    query("optional", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    query("all", {"allOf": [ref("Count")], "description": "d"}),
    query("either", EITHER),
    query("mixed", {"anyOf": [{"type": "integer", "maximum": 9}, {"type": "string", "maxLength": 3}]}),
    query("choice", {"enum": [1, "b"]}),
    query("flags", {"type": "array", "items": {"type": "boolean"}}),
    query("numbers", {"type": "array", "items": {"type": "number"}}),
    query("ids[]", INTEGERS),
    query("csv", TEXTS, explode=False),
    query("csvInts", INTEGERS, explode=False),
    query("pipes", TEXTS, style="pipeDelimited", explode=False),
    query("spaces", TEXTS, style="spaceDelimited", explode=False),
    query("deep", FILTER, style="deepObject", explode=True),
    query("closed", ref("Closed"), style="deepObject"),
    query("counts", ref("Counts"), style="deepObject"),
    query("pairs", FILTER, explode=False),
    query("piped", FILTER, style="pipeDelimited"),
    query("raw", {"type": "string"}, allowReserved=True),
    query("class", {"type": "string"}),
    query("2fa", {"type": "string"}),
    query("if_none_match", {"type": "string"}),
    query("pretty", {"type": "boolean"}, allowEmptyValue=True),
    query("note", {"type": "string"}, allowEmptyValue=True),
    query("oneOrMany", ONE_OR_MANY),
    query("never", {"type": "string", "enum": []}),
    query("usual", {"type": "integer", "default": 7}),
    query("null", {"type": ["integer", "null"], "default": None}),
    {"name": "json", "in": "query", "content": {"application/json": {"schema": FILTER}}},
    {"name": "text", "in": "query", "content": {"text/plain": {"schema": {"type": "string", "maxLength": 3}}}},
]
HEADERS = [
    header("X-Ids", TEXTS),
    header("X-Numbers", INTEGERS, explode=True),
    header("X-Pairs", ref("Counts")),
    header("X-Exploded", ref("Counts"), explode=True),
    header("X-Usual", {"type": "string", "default": "zz"}),
    header("X-Flag", {"type": "boolean"}),
    header("X-Json", {"type": "integer"}),
    header("Accept", {"type": "string"}),
    header("authorization", {"type": "string"}),
    header("Content-Type", {"type": "string"}),
    header("idempotency-key", {"type": "string"}),
    header("if-match", {"type": "string"}),
    cookie("sid", {"type": "integer"}),
    cookie("list", INTEGERS, explode=False),
    cookie("theme", {"type": "string", "default": "dark"}),
]
IN_PATH: dict[str, tuple[Node, Node]] = {
    "number": ({"type": "number"}, {}),
    "flag": ({"type": "boolean"}, {}),
    "ints": (INTEGERS, {}),
    "texts": (TEXTS, {}),
    "pairs": (ref("Counts"), {}),
    "exploded": (ref("Counts"), {"explode": True}),
    "label": ({"type": "string"}, {"style": "label"}),
    "labels": (INTEGERS, {"style": "label"}),
    "dots": (INTEGERS, {"style": "label", "explode": True}),
    "labelPairs": (ref("Counts"), {"style": "label", "explode": True}),
    "matrix": ({"type": "integer"}, {"style": "matrix"}),
    "matrixList": (INTEGERS, {"style": "matrix"}),
    "matrixExploded": (INTEGERS, {"style": "matrix", "explode": True}),
    "matrixPairs": (ref("Counts"), {"style": "matrix", "explode": True}),
    "matrixTexts": ({"type": "string"}, {"style": "matrix"}),
}
FREE = query("rest", ref("Counts"))


PATHS: Node = {
    "/query": get("readQuery", *QUERY),
    "/object": get("readObject", query("filter", ref("Closed"), required=True)),
    "/free": get("readFree", query("one", {"type": "string"}), FREE),
    "/headers": get("readHeaders", *HEADERS),
    "/needed": get("readNeeded", header("X-Req", {"type": "string"}, required=True)),
    "/sid": get("readSid", cookie("sid", {"type": "string"}, required=True)),
    "/nothing": get("readNothing"),
    "/level/{a}": {
        "parameters": [path_of("a", {"type": "string", "maxLength": 3}), query("b", {"type": "integer"})],
        **get("readLevel", path_of("a", {"type": "string", "maxLength": 5})),
    },
    **{
        f"/{name}/{{{name}}}": get(f"path{name.title()}", path_of(name, schema, **more))
        for name, (schema, more) in IN_PATH.items()
    },
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(document(PATHS, components=COMPONENTS), tmp_path_factory.mktemp("parameters"))


def plain(value: Any) -> Any:
    """A value without the classes of its models."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    dump = getattr(value, "model_dump", None)
    told: Any = dump(exclude_unset=True) if dump else getattr(value, "value", value)
    return told


class TestQuery:
    @pytest.mark.parametrize(
        ("sent", "argument", "value"),
        [
            ("any=1", "any", "1"),
            ("number=1.5", "number", 1.5),
            ("number=-1e3", "number", -1000.0),
            ("number=3", "number", 3.0),
            ("int=-0", "int", 0),
            ("int=7.00", "int", 7),
            ("csvInts=", "csv_ints", []),
            ("pretty", "pretty", ""),
            ("pretty=true", "pretty", True),
            ("note=", "note", ""),
            ("oneOrMany=a", "one_or_many", "a"),
            ("oneOrMany=a&oneOrMany=b", "one_or_many", ["a", "b"]),
            ("oneOrMany=abcd", "one_or_many", ["abcd"]),
            ("int=" + "9" * 30, "int", int("9" * 30)),
            ("nullable=1", "nullable", 1),
            ("optional=1", "optional", 1),
            ("all=1", "all", 1),
            ("either=bb", "either", "bb"),
            ("either=abcd", "either", "abcd"),
            ("mixed=7", "mixed", 7),
            ("mixed=77", "mixed", "77"),
            ("mixed=ab", "mixed", "ab"),
            ("choice=1", "choice", 1),
            ("choice=b", "choice", "b"),
            ("flags=true&flags=false", "flags", [True, False]),
            ("numbers=1.5&numbers=2", "numbers", [1.5, 2.0]),
            ("ids[]=1&ids%5B%5D=2", "ids", [1, 2]),
            ("csv=a,b", "csv", ["a", "b"]),
            ("csv=a%2Cb,c+d", "csv", ["a,b", "c d"]),
            ("csv=", "csv", [""]),
            ("csvInts=1,2", "csv_ints", [1, 2]),
            ("csvInts=1%2C2", "csv_ints", [1, 2]),
            ("pipes=a%7Cb|c", "pipes", ["a", "b", "c"]),
            ("spaces=a%20b+c", "spaces", ["a", "b", "c"]),
            ("deep[a]=1&deep%5Bb%5D=x", "deep", {"a": 1, "b": "x"}),
            ("closed[a]=1", "closed", {"a": 1}),
            ("counts[x]=1&counts[y]=2", "counts", {"x": 1, "y": 2}),
            ("pairs=a,1,b,x", "pairs", {"a": 1, "b": "x"}),
            ("piped=a%7C1", "piped", {"a": 1}),
            ("raw=a+b%2Bc", "raw", "a+b+c"),
            ("class=x", "class_", "x"),
            ("2fa=1", "field_2fa", "1"),
            ("if_none_match=a", "if_none_match", "a"),
            ("json=%7B%22a%22%3A1%7D", "json", {"a": 1}),
            ("text=1", "text", "1"),
        ],
    )
    async def test_a_parameter_is_read_as_its_schema_and_style_say(
        self, small: Small, sent: str, argument: str, value: object
    ) -> None:
        given = await small.arguments_of("GET", f"/query?{sent}")

        assert plain(given[argument]) == value
        assert type(plain(given[argument])) is type(value)

    async def test_what_is_not_sent_is_missing_or_its_default(self, small: Small) -> None:
        given = await small.arguments_of("GET", "/query")

        assert given.pop("usual") == 7
        assert given.pop("null") is None
        assert set(given.values()) == {MISSING}

    @pytest.mark.parametrize(
        ("sent", "place"),
        [
            ("number=x", ("/number", "type")),
            ("number=1e999", ("/number", "type")),
            ("number=1." + "0" * 50, ("/number", "type")),
            ("number=.5", ("/number", "type")),
            ("int=" + "9" * 31, ("/int", "type")),
            ("nullable=x", ("/nullable", "type")),
            ("nullable=", ("/nullable", "type")),
            ("nullable=null", ("/nullable", "type")),
            ("all=0", ("/all", "minimum")),
            ("either=ab", ("/either", "format")),
            ("mixed=abcd", ("/mixed", "type")),
            ("choice=2", ("/choice", "enum")),
            ("flags=yes", ("/flags/0", "type")),
            ("csvInts=1,x", ("/csvInts/1", "type")),
            ("csv=a&csv=b", ("/csv", "repeated")),
            ("pipes=%FF", ("/pipes", "format")),
            ("deep[c]=1", ("/deep[c]", "unknown_parameter")),
            ("deep[a]=1&deep[a]=2", ("/deep/a", "repeated")),
            ("deep[a]=%FF", ("/deep/a", "format")),
            ("deep[a]=x", ("/deep/a", "type")),
            ("deep=1", ("/deep", "unknown_parameter")),
            ("closed[b]=x", ("/closed/a", "required")),
            ("counts[x]=y", ("/counts/x", "type")),
            ("countsx]=1", ("/countsx]", "unknown_parameter")),
            ("pairs=a", ("/pairs", "format")),
            ("pairs=c,1", ("/pairs/c", "unknown_field")),
            ("pairs=a,1,a,2", ("/pairs/a", "repeated")),
            ("json=%7B", ("/json", "format")),
            ("json=%7B%22a%22:%22x%22%7D", ("/json/a", "type")),
            ("json=" + "[" * 40, ("/json", "format")),
            ("text=1234", ("/text", "max_length")),
            ("either=é", ("/either", "format")),
            ("unheard=1", ("/unheard", "unknown_parameter")),
        ],
    )
    async def test_what_its_schema_or_style_refuses_is_told_by_place(
        self, small: Small, sent: str, place: tuple[str, str]
    ) -> None:
        status, places = await small.refusal("GET", f"/query?{sent}")

        assert (status, places[:1]) == (422, [place])

    async def test_an_object_may_come_as_parameters(self, small: Small) -> None:
        given = await small.arguments_of("GET", "/object?a=1&b=x")

        assert plain(given["filter"]) == {"a": 1, "b": "x"}
        assert await small.refusal("GET", "/object") == (422, [("/filter", "required")])
        assert await small.refusal("GET", "/object?b=x") == (422, [("/filter/a", "required")])
        assert await small.refusal("GET", "/object?a=1&c=2") == (422, [("/c", "unknown_parameter")])

    async def test_an_open_object_takes_what_nothing_else_takes(self, small: Small) -> None:
        given = await small.arguments_of("GET", "/free?one=1&x=2&y=3")

        assert given == {"one": "1", "rest": {"x": 2, "y": 3}}

    async def test_where_there_are_no_parameters_a_query_is_not_looked_at(self, small: Small) -> None:
        assert await small.arguments_of("GET", "/nothing?x=1") == {}


class TestHeaders:
    @pytest.mark.parametrize(
        ("name", "sent", "argument", "value"),
        [
            ("X-Ids", "a,b", "x_ids", ["a", "b"]),
            ("x-ids", " a , b%2C", "x_ids", ["a", "b%2C"]),
            ("X-Numbers", "1, 2", "x_numbers", [1, 2]),
            ("X-Pairs", "a, 1, b,2", "x_pairs", {"a": 1, "b": 2}),
            ("X-Exploded", "a=1, b=2", "x_exploded", {"a": 1, "b": 2}),
            ("X-Usual", "a", "x_usual", "a"),
            ("X-Flag", "true", "x_flag", True),
            ("If-Match", '"1", W/"2"', "if_match", ("1",)),
            ("If-Match", "*", "if_match", MISSING),
            ("Cookie", "sid=7; other", "sid", 7),
            ("Cookie", "other=1;list=1,2;", "list", [1, 2]),
            ("Cookie", "theme=a%20b", "theme", "a b"),
            ("Cookie", "sid=7", "theme", "dark"),
        ],
    )
    async def test_a_header_or_a_cookie_is_read(
        self, small: Small, name: str, sent: str, argument: str, value: object
    ) -> None:
        assert (await small.arguments_of("GET", "/headers", headers={name: sent}))[argument] == value

    async def test_a_repeated_header_is_one_list(self, small: Small) -> None:
        given = await small.arguments_of("GET", "/headers", headers=[("X-Ids", "a"), ("X-Ids", "b")])

        assert given["x_ids"] == ["a", "b"]

    async def test_headers_that_a_document_describes_otherwise_are_no_parameters(self, small: Small) -> None:
        given = await small.arguments_of("GET", "/headers", headers={"Idempotency-Key": "k"})

        assert not {"accept", "authorization", "content_type", "idempotency_key"} & given.keys()
        assert given["x_usual"] == "zz"
        assert given["if_match"] is MISSING

    @pytest.mark.parametrize(
        ("path", "headers", "place"),
        [
            ("/needed", {}, ("/X-Req", "required")),
            ("/headers", {"X-Flag": "yes"}, ("/X-Flag", "type")),
            ("/headers", {"X-Numbers": "1,x"}, ("/X-Numbers/1", "type")),
            ("/headers", {"X-Exploded": "a"}, ("/X-Exploded", "format")),
            ("/headers", {"Cookie": "sid=x"}, ("/Cookie/sid", "type")),
            ("/headers", {"Cookie": "theme=%FF"}, ("/Cookie/theme", "format")),
            ("/headers", {"Cookie": "sid=1; sid=2"}, ("/Cookie/sid", "repeated")),
            ("/sid", {}, ("/Cookie/sid", "required")),
            ("/sid", {"Cookie": "other=1"}, ("/Cookie/sid", "required")),
        ],
    )
    async def test_what_is_wrong_with_a_header_or_a_cookie_is_told(
        self, small: Small, path: str, headers: dict[str, str], place: tuple[str, str]
    ) -> None:
        assert await small.refusal("GET", path, headers=headers) == (400, [place])


class TestPath:
    @pytest.mark.parametrize(
        ("name", "sent", "value"),
        [
            ("number", "1.5", 1.5),
            ("flag", "true", True),
            ("ints", "1,2", [1, 2]),
            ("ints", "1", [1]),
            ("texts", "a%2Cb,c%2Fd,%25", ["a,b", "c/d", "%"]),
            ("pairs", "a,1,b,2", {"a": 1, "b": 2}),
            ("exploded", "a=1,b=2", {"a": 1, "b": 2}),
            ("label", ".a", "a"),
            ("labels", ".1,2", [1, 2]),
            ("dots", ".1.2", [1, 2]),
            ("labelPairs", ".a=1.b=2", {"a": 1, "b": 2}),
            ("matrix", ";matrix=1", 1),
            ("matrixList", ";matrixList=1,2", [1, 2]),
            ("matrixExploded", ";matrixExploded=1;matrixExploded=2", [1, 2]),
            ("matrixPairs", ";a=1;b=2", {"a": 1, "b": 2}),
            ("matrixTexts", ";matrixTexts", ""),
        ],
    )
    async def test_a_value_in_the_path_is_read(self, small: Small, name: str, sent: str, value: object) -> None:
        [given] = (await small.arguments_of("GET", f"/{name}/{sent}")).values()

        assert given == value

    @pytest.mark.parametrize(
        "path",
        ["/number/x", "/flag/yes", "/ints/1,x", "/label/a", "/matrix/1", "/texts/%FF", "/pairs/a", "/level/abcdef"],
    )
    async def test_what_is_none_is_not_found(self, small: Small, path: str) -> None:
        assert (await small.refusal("GET", path))[0] == 404

    async def test_what_the_operation_says_of_a_parameter_goes_before_what_the_path_says(self, small: Small) -> None:
        assert await small.arguments_of("GET", "/level/abcd?b=1") == {"a": "abcd", "b": 1}


def refusals_of(parameter: Node, folder: Path, path: str = "/try") -> list[tuple[str, str]]:
    return refusals(document({path: get("tryIt", parameter)}, components=COMPONENTS), folder)


AT = "#/paths/~1try/get/parameters/0"
NESTED: Node = {"type": "object", "properties": {"a": TEXTS}}


@pytest.mark.parametrize(
    ("parameter", "place", "reason"),
    [
        (query("v", {"type": "integer"}, style="spaceDelimited"), AT, "is one value, for which `spaceDelimited`"),
        (query("v", TEXTS, style="pipeDelimited", explode=True), AT, "is a list, for which `pipeDelimited` with"),
        (query("v", TEXTS, style="deepObject"), AT, "is a list, for which `deepObject` with `explode: true`"),
        (query("v", FILTER, style="deepObject", explode=False), AT, "is an object, for which `deepObject` with"),
        (query("v", TEXTS, style="simple"), f"{AT}/style", "is none of form, spaceDelimited"),
        (header("X-V", TEXTS, style="form"), f"{AT}/style", "is none of simple"),
        (cookie("v", TEXTS), AT, "is a list, for which `form` with `explode: true` is not defined"),
        (query("v", {"type": "array", "items": TEXTS}), f"{AT}/schema/items", "is a list within a list"),
        (query("v", {"type": "array"}), f"{AT}/schema", "does not say what its items are"),
        (query("v", {"anyOf": [TEXTS, INTEGERS]}), f"{AT}/schema", "says several times what its items are"),
        (query("v", {"type": ["string", "object"]}), f"{AT}/schema", "may be object, string, which the text of a"),
        (query("v", ONE_OR_MANY, explode=False), AT, "may be one text or a list of them, which the text of a"),
        (query("v", {"enum": []}, required=True), f"{AT}/schema/enum", "is empty, so that no request can have this"),
        (query("v", {"type": "null"}), f"{AT}/schema", "no text is a value of this schema"),
        (query("v", {"allOf": [{"type": "string"}, {"type": "integer"}]}), f"{AT}/schema", "no text is a value of"),
        (query("v", {"minimum": 3}), f"{AT}/schema/minimum", "says something of numbers only: say that the `type`"),
        (
            query("v", {"type": "integer", "maximum": 3, "default": 5}),
            f"{AT}/schema/default",
            "breaks its schema: it: Must be at most 3",
        ),
        (
            query("v", {"type": "integer", "default": "x"}),
            f"{AT}/schema/default",
            "breaks its schema: it: Must be integer",
        ),
        (query("v", TEXTS, allowEmptyValue=True), f"{AT}/allowEmptyValue", "is defined for one value, not for lists"),
        ({"name": "v", "in": "querry", "schema": {}}, f"{AT}/in", "is none of query, header, path, cookie"),
        ({"name": "v", "in": "query"}, AT, "needs one of schema, content"),
        (
            {"name": "v", "in": "query", "content": {"text/csv": {"schema": {"type": "string"}}}},
            f"{AT}/content/text~1csv",
            "is read neither as JSON nor as text",
        ),
    ],
)
def test_what_no_request_could_satisfy_is_refused(tmp_path: Path, parameter: Node, place: str, reason: str) -> None:
    [(found, told)] = refusals_of(parameter, tmp_path)

    assert found == place
    assert told.startswith(reason)


def test_a_parameter_of_the_path_must_be_required(tmp_path: Path) -> None:
    parameter = {"name": "v", "in": "path", "schema": {"type": "string"}}

    assert refusals_of(parameter, tmp_path, "/try/{v}") == [
        ("#/paths/~1try~1{v}/get/parameters/0", "has no required: add it")
    ]


def test_an_object_within_an_object_is_refused(tmp_path: Path) -> None:
    nested = {"schemas": {"Nested": NESTED, "Empty": {"type": "object"}, "Named": NAMED}}
    parameters = [query("v", ref(name), style="deepObject") for name in ("Nested", "Empty", "Named")]
    paths = {f"/{i}": get(f"try{i}", parameter) for i, parameter in enumerate(parameters)}

    assert [reason.partition(":")[0] for _, reason in refusals(document(paths, components=nested), tmp_path)] == [
        "is a list within an object, which no style defines",
        "is an object without members",
        "are not read in a parameter",
    ]


NAMED: Node = {"type": "object", "patternProperties": {"^a": {"type": "string"}}}


def test_members_that_come_as_another_parameter_does_are_refused(tmp_path: Path) -> None:
    paths = {
        "/a": get("one", query("a", {"type": "string"}), query("f", FILTER)),
        "/b": get("two", query("f", ref("Counts")), query("g", ref("Counts"))),
    }

    assert refusals(document(paths, components=COMPONENTS), tmp_path) == [
        (
            "#/paths/~1a/get/parameters/1/schema",
            "comes as `a`, as #/paths/~1a/get/parameters/0/schema does: choose another name or style",
        ),
        (
            "#/paths/~1b/get/parameters/1/schema",
            "takes parameters of any name, as #/paths/~1b/get/parameters/0/schema does: make one of them",
        ),
    ]
