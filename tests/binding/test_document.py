"""The rules of openapi.yaml that no linter knows."""

import re
from collections import Counter
from collections.abc import Iterator
from keyword import iskeyword
from typing import Any

import pytest

from generated.operations import PROBLEM_TYPES
from tests.client import DOCUMENT, SCHEMAS

METHODS = ("get", "put", "post", "delete", "patch")
OPERATIONS = {
    item[method]["operationId"]: (path, method)
    for path, item in DOCUMENT["paths"].items()
    for method in METHODS
    if method in item
}
PROBLEM = "application/problem+json"
COMPONENTS = DOCUMENT["components"]
EDGE = {"405"}
COMPARED = {"actor_id", "target_id"}  # ids of filters that may be of nothing
RESERVED = re.compile(
    "abstract|as|assert|base|bool|boolean|break|byte|case|catch|chan|char|class|const|continue|"
    "decimal|default|defer|deinit|delegate|do|double|else|enum|event|explicit|extends|extension|"
    "extern|fallthrough|false|final|finally|fixed|float|for|foreach|func|fun|go|goto|guard|if|"
    "implements|implicit|import|in|init|inout|instanceof|int|interface|internal|is|let|lock|long|"
    "map|namespace|native|new|nil|null|object|operator|out|override|package|params|private|protocol|"
    "protected|public|range|readonly|ref|repeat|rethrows|return|sealed|self|select|short|sizeof|"
    "static|strictfp|string|struct|subscript|super|switch|synchronized|this|throw|throws|transient|"
    "true|try|type|typealias|typeof|uint|ulong|unchecked|unsafe|ushort|using|val|var|virtual|void|"
    "volatile|when|where|while|with"
)
"""What Java, C#, Swift, Kotlin, Go or Dart cannot call a value; generators write such names as they are."""
SEPARATORS = str.maketrans(".:", "__")
SIGN_IN = ("login", "completeLogin")
PERL = re.compile(r"\\[sSdDwWbBpPAZz]|\(\?(?!:)")
RUNTIME = re.compile(
    r"^\$(?:response\.(?:header\.(?P<header>[A-Za-z-]+)|body#(?P<body>/\S+))|request\.(?:(?:path|query)\.|body#/)(?P<given>\w+))$"
)


def resolve_reference(node: Any) -> Any:
    """What a reference leads to; anything else as it is."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def parameters(path: str, method: str) -> list[dict[str, Any]]:
    item = DOCUMENT["paths"][path]
    return [resolve_reference(one) for one in [*item.get("parameters", []), *item[method].get("parameters", [])]]


def members(path: str, method: str) -> set[str]:
    """Those of the body of a request, if it is JSON."""
    content = DOCUMENT["paths"][path][method].get("requestBody", {}).get("content", {})
    return (
        set(resolve_reference(content["application/json"]["schema"])["properties"])
        if "application/json" in content
        else set()
    )


def everywhere(node: Any, at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document and its JSON Pointer."""
    children: Any = enumerate(node) if isinstance(node, list) else node.items()
    if isinstance(node, dict):
        yield at, node
    for name, child in children:
        if isinstance(child, dict | list):
            yield from everywhere(child, f"{at}/{str(name).replace('~', '~0').replace('/', '~1')}")


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema, wherever it stands, and the schemas in it. Examples are none."""
    for at, node in everywhere(DOCUMENT):
        if re.search(r"/schemas?/|/schema$", at) and "/examples/" not in at and "$ref" not in node:
            yield at, node


def components_of(node: Any) -> Iterator[str]:
    """The names of the components that a body consists of."""
    for _, part in everywhere(node):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]
            yield from components_of(resolve_reference(part))


def bodies(kind: str) -> set[str]:
    """The names of the schemas in requests, or in answers."""
    found: set[str] = set()
    for path, method in OPERATIONS.values():
        operation = DOCUMENT["paths"][path][method]
        for container in [operation.get("requestBody", {})] if kind == "requests" else operation["responses"].values():
            for content in resolve_reference(container).get("content", {}).values():
                found |= set(components_of({"schema": content["schema"]}))
    return found


@pytest.mark.parametrize("status", ["200", "201", "204", "400", "401", "403", "404", "409", "422", "429", "500"])
def test_a_status_that_clients_know_is_one_of_ours(status: str) -> None:
    assert any(status in DOCUMENT["paths"][path][method]["responses"] for path, method in OPERATIONS.values())


@pytest.mark.parametrize(("path", "method"), OPERATIONS.values(), ids=OPERATIONS)
class TestOperations:
    def test_it_is_named_and_described(self, path: str, method: str) -> None:
        operation = DOCUMENT["paths"][path][method]

        assert re.fullmatch(r"[a-z]+(?:[A-Z][a-z]*)*", operation["operationId"])
        assert len(operation["tags"]) == 1
        assert operation["summary"]
        assert operation["description"]
        assert operation["x-rate-limit"] in DOCUMENT["x-rate-limits"]

    def test_it_declares_every_status_it_can_answer_and_no_other(self, path: str, method: str) -> None:
        operation = DOCUMENT["paths"][path][method]
        declared = set(operation["responses"])
        given = parameters(path, method)
        has_body = "requestBody" in operation
        reads = {one["name"] for one in given}
        looked_up = {name for name in reads if name.endswith("_id")} - COMPARED

        assert {"408", "414", "429", "431", "500", "503"} <= declared
        assert ("400" in declared) == bool(has_body or reads & {"If-Match", "If-None-Match", "cursor"})
        assert ("413" in declared) == ("415" in declared) == has_body
        assert ("304" in declared) == ("If-None-Match" in reads)
        assert ("412" in declared) == ("If-Match" in reads)
        assert ("401" in declared) == (operation.get("security") != [] or operation["operationId"] in SIGN_IN)
        assert "404" in declared or not any(one["in"] == "path" or one["name"] in looked_up for one in given)
        assert not declared & EDGE
        assert all(re.fullmatch(r"[2-5][0-9]{2}", status) for status in declared)

    def test_its_errors_are_shared(self, path: str, method: str) -> None:
        for status, answer in DOCUMENT["paths"][path][method]["responses"].items():
            assert "$ref" in answer or int(status) < 400 or PROBLEM not in answer["content"], status

    def test_it_takes_one_media_type_and_of_a_patch_both_that_mean_the_same(self, path: str, method: str) -> None:
        content = DOCUMENT["paths"][path][method].get("requestBody", {"content": {"": {"schema": {}}}})["content"]

        assert len(content) == (2 if method == "patch" else 1)
        assert method != "patch" or content.keys() == {"application/json", "application/merge-patch+json"}
        assert len({one["schema"].get("$ref") for one in content.values()}) == 1

    def test_its_request_and_its_answers_have_examples(self, path: str, method: str) -> None:
        operation = DOCUMENT["paths"][path][method]
        for container in [*operation["responses"].values(), operation.get("requestBody", {})]:
            contents = resolve_reference(container).get("content", {})
            for media_type, content in contents.items():
                alike = [one for one in contents.values() if one["schema"] == content["schema"]]
                assert any("examples" in one for one in alike), media_type

    def test_it_can_be_called_by_all_schemes_or_by_anybody(self, path: str, method: str) -> None:
        operation = DOCUMENT["paths"][path][method]
        security = [one for one in operation.get("security", DOCUMENT["security"]) if one != {"refreshCookie": []}]
        schemes = ["bearer", "password"] if "x-signed-in-only" in operation else ["bearer", "accessToken", "password"]
        if operation["operationId"] == "getMetrics":
            security = [one for one in security if one != {"metricsToken": []}]

        assert security in ([], [{}]) or [list(one) for one in security] == [[scheme] for scheme in schemes]
        assert security in ([], [{}]) or (security[0]["bearer"] and not security[-1]["password"])

    def test_only_what_renews_or_ends_a_session_takes_its_cookie(self, path: str, method: str) -> None:
        operation = DOCUMENT["paths"][path][method]
        takes = {"refreshCookie": []} in operation.get("security", [])

        assert takes == (operation["operationId"] in {"refreshTokens", "logout"})

    def test_its_links_lead_to_operations_and_parameters(self, path: str, method: str) -> None:
        given = {one["name"] for one in parameters(path, method)} | members(path, method)
        for answer in map(resolve_reference, DOCUMENT["paths"][path][method]["responses"].values()):
            for name, link in answer.get("links", {}).items():
                wanted = {one["name"] for one in parameters(*OPERATIONS[link["operationId"]])}
                assert set(link.get("parameters", {})) <= wanted, name
                assert isinstance(link.get("requestBody", ""), str), "openapi-generator takes no document with another"
                for value in [*link.get("parameters", {}).values(), *link.get("x-request-body", {}).values()]:
                    self.leads_somewhere(value, answer, given)

    def test_its_next_page_has_every_parameter_of_this_one(self, path: str, method: str) -> None:
        given = {one["name"] for one in parameters(path, method) if one["in"] != "header"}
        for answer in map(resolve_reference, DOCUMENT["paths"][path][method]["responses"].values()):
            if link := answer.get("links", {}).get("nextPage"):
                assert link["parameters"].keys() == given

    def leads_somewhere(self, value: str, answer: dict[str, Any], given: set[str]) -> None:
        found = RUNTIME.match(value)
        assert found, value
        if found["header"]:
            assert found["header"] in answer["headers"]
        elif found["body"]:
            schema = resolve_reference(answer["content"]["application/json"]["schema"])
            for part in found["body"].removeprefix("/").split("/"):
                schema = resolve_reference(schema["items"] if part.isdecimal() else schema["properties"][part])
        else:
            assert found["given"] in given


class TestSchemas:
    def test_requests_are_closed_and_answers_are_open(self) -> None:
        requests, answers = bodies("requests"), bodies("answers")
        for name, schema in COMPONENTS["schemas"].items():
            if schema.get("type") == "object":
                closed = schema.get("additionalProperties") is False
                assert closed == (name in requests and name != "TokenRequest"), name  # RFC 6749: others are ignored
        assert {name for name in requests & answers if COMPONENTS["schemas"][name].get("type") == "object"} == set()

    def test_every_schema_is_in_use(self) -> None:
        used = {node["$ref"].rpartition("/")[2] for _, node in everywhere(DOCUMENT) if "$ref" in node}

        assert [
            name for kind in COMPONENTS if kind != "securitySchemes" for name in COMPONENTS[kind] if name not in used
        ] == []

    def test_nothing_shares_its_name_with_another_thing(self) -> None:
        named = [name for kind in COMPONENTS.values() for name in kind]

        assert [name for name, count in Counter(named).items() if count > 1] == []

    def test_the_values_of_an_enumeration_have_names_of_one_style(self) -> None:
        for name, schema in COMPONENTS["schemas"].items():
            names = schema.get("x-enum-varnames", [])

            assert len(names) == len(set(names)) == len(schema.get("enum", [])), name
            for value, told in zip(schema.get("enum", []), names, strict=True):
                assert re.fullmatch("[a-z][a-z0-9_]*", told), (name, told)
                assert not iskeyword(told), (name, told)
                assert not RESERVED.fullmatch(told), (name, told)
                assert not hasattr(str, told), (name, told)
                assert told.startswith(value.partition(",")[0].lstrip("-").translate(SEPARATORS)), (name, told)

    def test_no_enumeration_is_without_a_name(self) -> None:
        places = {at for at, node in everywhere(DOCUMENT) if "enum" in node and len(node["enum"]) > 1}

        assert {at for at in places if not re.fullmatch("#/components/schemas/[A-Za-z]+", at)} == set()

    def test_none_is_harder_than_generators_can_bear(self) -> None:
        for at, schema in schemas():
            assert not {"uniqueItems", "minProperties", "readOnly", "writeOnly"} & set(schema), at
            assert "allOf" not in schema or at.endswith("Problem"), at
            if "/parameters/" not in at:
                assert "default" not in schema, at
            assert not [name for name in schema.get("properties", {}) if iskeyword(name) and name != "in"], at
            if "anyOf" in schema or "oneOf" in schema:
                choices = schema.get("oneOf", [])
                is_named = at.endswith(("/ChangeData", "/StreamedChange")) and all("$ref" in one for one in choices)
                assert is_named or [len(choices), choices[-1]] == [2, {"type": "null"}], at

    def test_patterns_mean_the_same_everywhere(self) -> None:
        """Generators write a `pattern` into code of any language. What stands in `not` they leave to validators."""
        patterns = {at: one["pattern"] for at, one in schemas() if "pattern" in one and not at.endswith("/not")}

        assert len(patterns) > 5
        assert {at: pattern for at, pattern in patterns.items() if PERL.search(pattern) or not pattern.isascii()} == {}
        assert all(pattern.startswith("^") for pattern in patterns.values())

    def test_texts_of_requests_are_bounded_and_without_nul(self) -> None:
        named = {f"#/components/schemas/{name}" for name in bodies("requests")}
        for at, schema in schemas():
            if at.split("/properties")[0] in named and schema.get("type") == "string":
                bounded = "maxLength" in schema or "format" in schema or "enum" in schema
                assert bounded, at
                if "pattern" in schema:
                    assert not SCHEMAS[at].is_valid("a\0b"), at
                else:
                    assert {"format", "enum"} & set(schema), at

    def test_nothing_secret_stands_in_a_url(self) -> None:
        told = [each for _, schema in schemas() for each in schema.get("properties", {}).items()]
        named_so = {name for name, _ in told if "token" in name and not name.endswith("_id")}
        secret = named_so | {name for name, one in told if resolve_reference(one).get("format") == "password"}
        named = {
            one["name"]
            for path, method in OPERATIONS.values()
            for one in parameters(path, method)
            if one["in"] in ("path", "query")
        }

        assert {"password", "new_password", "access_token", "refresh_token"} <= secret
        assert named & secret == set()


class TestHead:
    def test_what_generators_paste_on_every_file_is_four_lines(self) -> None:
        assert len(DOCUMENT["info"]["description"].splitlines()) == 4

    def test_its_table_has_every_extension_of_the_document(self) -> None:
        meta = next(tag["description"] for tag in DOCUMENT["tags"] if tag["name"] == "meta")
        told = re.findall(r"^\| `(x-[A-Za-z-]+)` \|", meta, re.MULTILINE)
        used = {name for _, node in everywhere(DOCUMENT) for name in node if name.startswith("x-")}

        assert sorted(told) == sorted(used)


class TestExamples:
    def test_every_example_is_valid(self) -> None:
        seen = 0
        for at, node in everywhere(DOCUMENT):
            given = (
                [one["value"] for one in node["examples"].values()] if isinstance(node.get("examples"), dict) else []
            )
            if isinstance(node.get("examples"), list) and at in SCHEMAS:
                values, schema = node["examples"], at
            elif "schema" in node:
                values, schema = [*given, *([node["example"]] if "example" in node else [])], f"{at}/schema"
            else:
                continue
            for value in values:
                wrong = [f"{error.instance_path}: {error.message}" for error in SCHEMAS[schema].iter_errors(value)]
                assert wrong == [], at
                seen += 1
        assert seen > 50

    def test_every_shared_error_has_an_example_of_each_code_with_its_own_status(self) -> None:
        statuses: dict[str, set[str]] = {}
        for path, method in OPERATIONS.values():
            for status, answer in DOCUMENT["paths"][path][method]["responses"].items():
                if "$ref" in answer:
                    statuses.setdefault(answer["$ref"].rpartition("/")[2], set()).add(status)
        for name, answer in COMPONENTS["responses"].items():
            assert len(statuses[name]) == 1, name
            for code, example in answer.get("content", {}).get(PROBLEM, {}).get("examples", {}).items():
                value = example["value"]
                kind = PROBLEM_TYPES[code]
                assert (value["code"], value["type"]) == (code, f"/problems/{code}")
                assert {str(value["status"]), str(kind.status)} == statuses[name]
                assert value["title"] == kind.title
                for fault in value["errors"]:
                    assert SCHEMAS["#/components/schemas/FaultCode"].is_valid(fault["code"])

    def test_every_shared_error_lists_its_codes_and_those_of_the_edge(self) -> None:
        for name, answer in COMPONENTS["responses"].items():
            for content in [answer["content"][PROBLEM]] if PROBLEM in answer.get("content", {}) else []:
                assert content["schema"] == {"$ref": f"#/components/schemas/{name}Problem"}
                problem, own = COMPONENTS["schemas"][f"{name}Problem"]["allOf"]
                codes = list(content["examples"])
                edge = {400: "malformed_request", 403: "https_required"}.get(PROBLEM_TYPES[codes[0]].status, codes[0])

                assert problem == {"$ref": "#/components/schemas/Problem"}
                assert own["properties"]["code"] == {"$ref": f"#/components/schemas/{name}Code"}
                assert COMPONENTS["schemas"][f"{name}Code"]["enum"] == list(dict.fromkeys([*codes, edge])), name

    def test_every_problem_is_an_answer_or_belongs_to_the_edge(self) -> None:
        shown = {
            code
            for answer in COMPONENTS["responses"].values()
            for code in answer.get("content", {}).get(PROBLEM, {}).get("examples", {})
        }

        edge = {code for code, kind in PROBLEM_TYPES.items() if str(kind.status) in EDGE} | {"https_required"}
        assert PROBLEM_TYPES.keys() - edge == shown

    def test_every_parameter_in_a_path_and_every_required_header_has_an_example(self) -> None:
        for name, parameter in COMPONENTS["parameters"].items():
            assert "example" in parameter or parameter["in"] != "path", name
        for name, header in COMPONENTS["headers"].items():
            assert not header.get("required") or "example" in header or "const" in header["schema"], name
