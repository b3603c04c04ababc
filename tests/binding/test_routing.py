"""Paths find their operations, and nothing else does."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.routing import Routes
from generated.operations import OPERATIONS

PATHS = sorted({operation.path for operation in OPERATIONS})
ID = "019b76da-a800-7000-8000-0000000000a1"
SEGMENT = st.text(st.characters(exclude_characters="/"), min_size=1)


def routes(*paths: str) -> Routes[str]:
    made: Routes[str] = Routes()
    for path in paths:
        made.add("GET", path, path)
    return made


def find_route(made: Routes[str], path: str) -> tuple[str, dict[str, str]] | None:
    methods, values = made.find(path)
    return (methods["GET"], values) if methods else None


contract = routes(*PATHS)


@given(st.sampled_from(PATHS), st.lists(SEGMENT, min_size=2, max_size=2), st.sampled_from(["", "/"]))
def test_a_path_finds_its_operation_with_and_without_a_slash(path: str, values: list[str], slash: str) -> None:
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    given_values = dict(zip(names, values, strict=False))

    assert find_route(contract, path.format(**given_values) + slash) == (path, given_values)


def test_a_path_has_the_methods_of_its_operations() -> None:
    made: Routes[str] = Routes()
    for operation in OPERATIONS:
        made.add(operation.method, operation.path, operation.id)

    methods, values = made.find(f"/api/v1/tasks/{ID}")

    assert methods == {"GET": "getTask", "PUT": "replaceTask", "PATCH": "updateTask", "DELETE": "deleteTask"}
    assert values == {"task_id": ID}


@pytest.mark.parametrize("order", [1, -1])
def test_a_word_goes_before_a_value(order: int) -> None:
    made = routes(*["/tasks/{id}", "/tasks/search", "/tasks/search/{place}", "/tasks/{id}/files"][::order])

    assert find_route(made, "/tasks/search") == ("/tasks/search", {})
    assert find_route(made, "/tasks/search/") == ("/tasks/search", {})
    assert find_route(made, "/tasks/searching") == ("/tasks/{id}", {"id": "searching"})
    assert find_route(made, "/tasks/search/files") == ("/tasks/search/{place}", {"place": "files"})
    assert find_route(made, "/tasks/7/files") == ("/tasks/{id}/files", {"id": "7"})


@pytest.mark.parametrize(
    "path",
    [
        "*",
        "/api",
        "/api/v1",
        "/api/v1/tasks//",
        "/api/v1//tasks",
        "/api/v1/tasks//complete",
        f"/api/v1/tasks/{ID}//",
        f"/api/v1/tasks/{ID}/complete/more",
        "/API/v1/tasks",
        "//livez/more",
        "/livez\0",
        "/api/tasks",
        "/api/v2/tasks",
        "/tasks",
        "/items",
        "/auth/login",
    ],
)
def test_another_path_finds_nothing(path: str) -> None:
    assert find_route(contract, path) is None


@pytest.mark.parametrize("path", ["/", "//", ""])
def test_the_root_is_found_also_by_a_request_target_without_a_path(path: str) -> None:
    assert find_route(contract, path) == ("/", {})


@given(st.text(string.ascii_lowercase + "/{}", max_size=30))
def test_what_is_found_is_what_the_template_says(path: str) -> None:
    answer = find_route(contract, path)

    if answer is not None:
        template, values = answer
        assert path.rstrip("/") == template.format(**values).rstrip("/")


def test_paths_that_call_what_they_share_differently_each_have_their_own_names() -> None:
    made = routes("/tasks/{task_id}", "/tasks/{id}/history", "/tasks/{owner}/history/{id}", "/{a}/x", "/{b}/y")

    assert find_route(made, "/tasks/7") == ("/tasks/{task_id}", {"task_id": "7"})
    assert find_route(made, "/tasks/7/history") == ("/tasks/{id}/history", {"id": "7"})
    assert find_route(made, "/tasks/7/history/8") == ("/tasks/{owner}/history/{id}", {"owner": "7", "id": "8"})
    assert find_route(made, "/1/x") == ("/{a}/x", {"a": "1"})
    assert find_route(made, "/2/y") == ("/{b}/y", {"b": "2"})


def test_one_path_has_its_names_once() -> None:
    made = routes("/tasks/{task_id}")

    with pytest.raises(ValueError, match="calls its parameters task_id"):
        made.add("PUT", "/tasks/{id}", "another")


@pytest.mark.parametrize("order", [1, -1])
def test_a_word_that_leads_nowhere_gives_way_to_a_value(order: int) -> None:
    made = routes(*["/tasks/search/places", "/tasks/{id}/files", "/tasks/{id}.csv", "/tasks/{id}/{kind}/new"][::order])

    assert find_route(made, "/tasks/search/files") == ("/tasks/{id}/files", {"id": "search"})
    assert find_route(made, "/tasks/search/places/new") == (
        "/tasks/{id}/{kind}/new",
        {"id": "search", "kind": "places"},
    )
    assert find_route(made, "/tasks/7.csv/files") == ("/tasks/{id}/files", {"id": "7.csv"})
    assert find_route(made, "/tasks/search") is None
    assert find_route(made, "/tasks/7/places") is None


@pytest.mark.parametrize("order", [1, -1])
def test_a_value_may_stand_within_a_word(order: int) -> None:
    made = routes(*["/{id}", "/{id}.csv", "/{id}:archive", "/v{version}", "/{from}...{to}", "/v1"][::order])

    assert find_route(made, "/7") == ("/{id}", {"id": "7"})
    assert find_route(made, "/a.b.csv") == ("/{id}.csv", {"id": "a.b"})
    assert find_route(made, "/7:archive") == ("/{id}:archive", {"id": "7"})
    assert find_route(made, "/v2/") == ("/v{version}", {"version": "2"})
    assert find_route(made, "/v1") == ("/v1", {})
    assert find_route(made, "/main...work") == ("/{from}...{to}", {"from": "main", "to": "work"})
    assert find_route(made, "/.csv") == ("/{id}", {"id": ".csv"})
    assert find_route(made, "/v") == ("/{id}", {"id": "v"})
    assert find_route(made, "/...work") == ("/{id}", {"id": "...work"})


def test_what_stands_before_a_literal_is_as_short_as_it_can_be() -> None:
    made = routes("/{a}-{b}-{c}.{d}")

    assert find_route(made, "/1-2-3-4.5.6") == ("/{a}-{b}-{c}.{d}", {"a": "1", "b": "2", "c": "3-4", "d": "5.6"})
    assert find_route(made, "/--1-2.3") == ("/{a}-{b}-{c}.{d}", {"a": "-", "b": "1", "c": "2", "d": "3"})
    assert find_route(made, "/1-2.3") is None
    assert find_route(made, "/" + "-" * 100_000) is None


@pytest.mark.parametrize("path", ["/{a", "/a}", "/{{a}}", "/{}", "/{a}{b}", "/x{a}{b}y"])
def test_what_is_no_template_leads_nowhere(path: str) -> None:
    with pytest.raises(ValueError, match=r"^(the braces|a parameter|nothing tells)"):
        routes(path)
