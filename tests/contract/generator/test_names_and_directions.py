"""Schemas are named by their place, and a member is for one direction where the document says so."""

import copy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

from tests.contract.generator.trying import Document, Trial

TASKS: Document = yaml.safe_load("""
paths:
  /tasks:
    get:
      operationId: listTasks
      responses: {'200': {description: T., content: {application/json: {schema: {type: array, items: {type: object, properties: {title: {type: string}}}}}}}}
    post:
      operationId: createTask
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                address: {type: object, properties: {street: {type: string}}}
                steps: {type: array, items: {type: object, properties: {done: {type: boolean}}}}
                labels: {type: object, additionalProperties: {type: object, properties: {color: {type: string}}}}
                owner: {oneOf: [{type: object, required: [id], properties: {id: {type: integer}}}, {type: string}]}
components:
  schemas:
    my.ns.Thing: {type: object, properties: {part: {type: object, properties: {x: {type: integer}}}}}
""")  # noqa: E501 - a document as people write them
WAYS: Document = yaml.safe_load("""
paths:
  /users:
    post:
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/User'}}}}
      responses: {'200': {description: U., content: {application/json: {schema: {$ref: '#/components/schemas/User'}}}}}
  /closed:
    post:
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Closed'}}}}
components:
  schemas:
    Id: {type: string, format: uuid, readOnly: true}
    Closed: {type: object, additionalProperties: false, required: [id], properties: {id: {$ref: '#/components/schemas/Id'}, a: {type: integer}}}
    User:
      type: object
      required: [id, name, password, profile]
      properties:
        id: {$ref: '#/components/schemas/Id'}
        name: {type: string}
        seal: {type: object, properties: {at: {type: string}}}
        password: {type: string, writeOnly: true}
        profile: {type: object, required: [seen, pin], properties: {seen: {type: integer, readOnly: true}, pin: {type: string, writeOnly: true}}}
""")  # noqa: E501 - as above
SENT = {"name": "Ada", "password": "secret", "profile": {"pin": "1234"}}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return Trial(tmp_path_factory.mktemp("tasks"), copy.deepcopy(TASKS))


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return Trial(tmp_path_factory.mktemp("users"), copy.deepcopy(WAYS))


def names(trial: Trial) -> set[str]:
    return {
        name
        for name in vars(trial.models)
        if name[0].isupper() and getattr(vars(trial.models)[name], "model_fields", None)
    }


def test_an_inline_object_is_named_by_its_place(tasks: Trial) -> None:
    assert names(tasks) >= {
        "CreateTaskRequest",
        "CreateTaskRequestAddress",
        "CreateTaskRequestStepsItem",
        "CreateTaskRequestLabelsValue",
        "CreateTaskRequestOwnerOption1",
        "ListTasks200ResponseItem",
        "MyNsThing",
        "MyNsThingPart",
    }


def test_an_edit_elsewhere_changes_no_name(tasks: Trial, tmp_path: Path) -> None:
    changed = copy.deepcopy(TASKS)
    body = changed["paths"]["/tasks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body["properties"] = {
        "address2": {"type": "object", "properties": {"a": {"type": "integer"}}},
        **body["properties"],
    }
    changed["components"]["schemas"] = {
        "Address": {"type": "object", "properties": {"a": {}}},
        **changed["components"]["schemas"],
    }

    assert names(Trial(tmp_path, changed)) == names(tasks) | {"Address", "CreateTaskRequestAddress2"}


async def test_a_request_has_no_member_that_is_read_only(users: Trial) -> None:
    users.answer = users.models.User(id=UUID(int=1), name="Ada", profile=users.models.UserProfile(seen=1))
    status, _ = await users.send("POST", "/users", SENT)

    assert status == 200
    assert users.given.model_dump() == SENT
    assert await users.send("POST", "/users", {**SENT, "id": str(UUID(int=1)), "profile": {"pin": "1", "seen": 1}}) == (
        422,
        [("/profile/seen", "unknown_field"), ("/id", "unknown_field")],
    )
    assert await users.send("POST", "/closed", {"a": 1}) == (204, None)
    assert await users.send("POST", "/closed", {"id": str(UUID(int=1))}) == (422, [("/id", "unknown_field")])


async def test_an_answer_has_no_member_that_is_write_only(users: Trial) -> None:
    users.answer = users.models.User(id=UUID(int=1), name="Ada", profile=users.models.UserProfile(seen=1))

    answer = await users.send("POST", "/users", SENT)

    assert answer == (200, {"id": str(UUID(int=1)), "name": "Ada", "profile": {"seen": 1}})
    assert users.mismatches == []


async def test_an_answer_that_holds_what_is_write_only_is_told(users: Trial) -> None:
    users.answer = users.models.UserRequest(**SENT)

    await users.send("POST", "/users", SENT)

    [told] = users.mismatches
    users.mismatches.clear()
    assert "/id: Is required" in told
    assert "/password" in told


def dialect(schema: Document, version: str = "3.0.3") -> Document:
    content = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/It"}}}}
    post = {"requestBody": {"required": True, **content}, "responses": {"200": {"description": "It.", **content}}}
    return {"openapi": version, "paths": {"/it": {"post": post}}, "components": {"schemas": {"It": schema}}}


OLDER: dict[str, Any] = yaml.safe_load("""
type: object
required: []
properties:
  a: {type: string, nullable: true, example: x}
  b: {type: integer, minimum: 3, exclusiveMinimum: true, maximum: 9, exclusiveMaximum: false}
  c: {type: string, format: byte}
  d: {allOf: [{$ref: '#/components/schemas/It'}], nullable: true}
  e: {$ref: '#/components/schemas/It', nullable: true}
""")


async def test_a_document_of_3_0_is_read_as_such(tmp_path: Path) -> None:
    trial = Trial(tmp_path, dialect(copy.deepcopy(OLDER)))

    for value in {"a": None, "b": 4, "c": "aGk="}, {"d": None}, {"d": {"a": "x"}, "b": 9}, {"e": {"a": "x"}}:
        assert await trial.send("POST", "/it", value) == (200, value)
    assert await trial.send("POST", "/it", {"b": 3, "c": "***", "e": None}) == (
        422,
        [("/b", "minimum"), ("/c", "format"), ("/e", "not_null")],
    )
    assert trial.document["openapi"] == "3.1.1"


async def test_a_document_of_3_2_is_read_where_it_means_the_same(tmp_path: Path) -> None:
    fragment = dialect({"type": "object", "properties": {"a": {"type": "integer"}}}, "3.2.0")
    fragment["tags"] = [{"name": "trials", "kind": "nav", "summary": "Trials"}]
    fragment["paths"]["/it"]["post"]["responses"]["200"] |= {"summary": "It."}
    del fragment["paths"]["/it"]["post"]["responses"]["200"]["description"]
    trial = Trial(tmp_path, fragment)

    assert await trial.send("POST", "/it", {"a": 1}) == (200, {"a": 1})


async def test_a_path_may_be_given_by_reference(tmp_path: Path) -> None:
    get: Document = {"operationId": "getIt", "tags": ["trials"], "summary": "S", "description": "D", "security": []}
    get |= {"x-rate-limit": "default", "responses": {"204": {"description": "N."}}}
    fragment = {
        "paths": {"/it": {"$ref": "#/components/pathItems/It"}},
        "components": {"pathItems": {"It": {"get": get}}},
    }

    trial = Trial(tmp_path, fragment)

    assert await trial.send("GET", "/it") == (204, None)


async def test_what_others_serve_makes_no_code(tmp_path: Path) -> None:
    body = {"requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"a": {}}}}}}}
    post = {"post": {**body, "responses": {"200": {"description": "O."}}}}
    get = {
        "callbacks": {"done": {"{$request.query.url}": post}},
        "x-thing": {"a": [1], "$ref": "nowhere"},
        "x-null": None,
    }

    trial = Trial(tmp_path, {"paths": {"/it": {"get": get}}, "webhooks": {"done": post}, "x-team": {"type": "none"}})

    assert await trial.send("GET", "/it") == (204, None)
    assert names(trial) == {"Trouble"}
