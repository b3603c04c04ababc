"""The museum over a real server: what it answers, streams with readers that leave or dawdle, and what fuzzing finds."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples.conftest import ROOT, environment

LONGEST = 150  # lines
STAFF = {"X-Staff-Key": "let me in"}
LINES = {"Content-Type": "application/x-ndjson"}
PNG = b"\x89PNG and so on"


@pytest.fixture
def client(museum: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=museum, timeout=60) as client:
        yield client


def add_exhibit(client: httpx.Client, **more: Any) -> dict[str, Any]:
    """An exhibit that was added."""
    answer = client.post("/exhibits", headers=STAFF, json={"title": "Vase", "room": "A1", "worth": 100} | more)
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/exhibits/{made['id']}"
    return made


def visit(client: httpx.Client, *tickets: str) -> None:
    body = "".join(f"{json.dumps({'ticket': ticket})}\n" for ticket in tickets)
    assert client.post("/visits", headers=LINES, content=body).status_code == 204


def test_it_is_short_and_typed(folder: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )

    assert len((ROOT / "examples" / "museum" / "museum.py").read_text(encoding="utf-8").splitlines()) <= LONGEST
    assert told.returncode == 0, told.stdout


def test_only_staff_adds_exhibits_and_is_told_their_worth(client: httpx.Client) -> None:
    refused = [client.post("/exhibits", headers=headers, json={}) for headers in ({}, {"X-Staff-Key": "no"})]
    made = add_exhibit(client)
    told = [client.get(f"/exhibits/{made['id']}", headers=headers).json() for headers in ({}, STAFF)]

    assert [answer.status_code for answer in refused] == [401, 401]
    assert [exhibit.get("worth") for exhibit in told] == [None, 100]
    assert client.get(f"/exhibits/{made['id']}", headers={"X-Staff-Key": "no"}).status_code == 401


def test_what_is_no_exhibit_is_refused_with_its_places(client: httpx.Client) -> None:
    answer = client.post("/exhibits", headers=STAFF, json={"title": "", "room": "1", "more": 1})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert sorted(fault["pointer"] for fault in answer.json()["errors"]) == ["/more", "/room", "/title"]


def test_exhibits_are_listed_by_room_as_json_or_csv(client: httpx.Client) -> None:
    made = add_exhibit(client, room="Z9", title="A, quoted", made=-500)
    listed = client.get("/exhibits?rooms=Z9,Z8")
    table = client.get("/exhibits?rooms=Z9,Z8", headers={"Accept": "text/csv"})

    assert [exhibit["id"] for exhibit in listed.json()["items"]] == [made["id"]]
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.text == 'title,room,made\r\n"A, quoted",Z9,-500\r\n'


def test_a_photo_is_uploaded_and_shown(client: httpx.Client) -> None:
    made = add_exhibit(client)
    place = f"/exhibits/{made['id']}/photo"
    form = {"photo": ("vase.png", PNG, "image/png")}

    assert client.get(place).status_code == 404
    assert client.put(place, files=form, data={"caption": "From behind"}).status_code == 401
    assert client.put(place, headers=STAFF, files=form, data={"caption": "From behind"}).status_code == 204
    assert (client.get(place).content, client.get(place).headers["content-type"]) == (PNG, "image/png")
    assert client.get(f"/exhibits/{made['id']}").json()["caption"] == "From behind"


def test_a_photo_of_another_kind_or_of_nothing_is_refused(client: httpx.Client) -> None:
    place = f"/exhibits/{add_exhibit(client)['id']}/photo"
    wrong = {"photo": ("vase.gif", b"GIF", "image/gif")}

    assert client.put(place, headers=STAFF, files=wrong).status_code == 422
    assert (
        client.put(f"/exhibits/{uuid4()}/photo", headers=STAFF, files={"photo": ("a", PNG, "image/png")}).status_code
        == 404
    )


@pytest.mark.parametrize(("accept", "begin"), [("text/event-stream", "data: "), ("application/x-ndjson", "")])
def test_visits_are_told_while_they_come(client: httpx.Client, accept: str, begin: str) -> None:
    """The reader has those that were before, and then each at once, though the stream goes on."""
    ticket, later = str(uuid4()), str(uuid4())
    visit(client, ticket)
    with client.stream("GET", "/visits", params={"follow": "true"}, headers={"Accept": accept}) as watched:
        lines = watched.iter_lines()
        told = next(line for line in lines if ticket in line)
        visit(client, later)
        soon = next(line for line in lines if later in line)

    assert watched.headers["content-type"] == accept
    assert [json.loads(line.removeprefix(begin)) for line in (told, soon)] == [
        {"ticket": ticket, "reduced": False},
        {"ticket": later, "reduced": False},
    ]


def test_readers_that_leave_or_dawdle_hold_up_no_others(client: httpx.Client, museum: str) -> None:
    url = httpx.URL(museum)
    with socket.create_connection((url.host, url.port or 80)) as dawdling:
        dawdling.sendall(b"GET /visits?follow=true HTTP/1.1\r\nHost: museum\r\n\r\n")
        for _ in range(20):
            with client.stream("GET", "/visits", params={"follow": "true"}) as watched:
                assert watched.status_code == 200
        for _ in range(3):
            visit(client, *(f"{number:040}" for number in range(1000)))
        told = client.get("/visits", headers={"Accept": "application/x-ndjson"}).text.splitlines()

    assert len(told) >= 3_000


def test_a_line_that_is_no_visit_is_refused(client: httpx.Client) -> None:
    answer = client.post("/visits", headers=LINES, content='{"ticket": "a"}\n{"ticket": 1}\n')

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/1/ticket")


def test_fuzzing_finds_nothing(folder: Path, museum: str) -> None:
    command = [str(Path(sys.executable).parent / "st"), "run", "openapi.yaml", "--url", museum]
    phases = "--phases=examples,coverage,fuzzing"
    done = subprocess.run(
        [*command, phases], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert "Tested: 6" in done.stdout


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.fixed_dictionaries({"ticket": st.text(max_size=40)}, optional={"reduced": st.booleans()}), min_size=1)
)
def test_any_visits_are_counted_and_told_as_they_were(client: httpx.Client, visits: list[dict[str, Any]]) -> None:
    body = "".join(f"{json.dumps(one)}\n" for one in visits)
    answer = client.post("/visits", headers=LINES, content=body)
    lines = client.get("/visits", headers={"Accept": "application/x-ndjson"}).text.split("\n")[:-1]
    events = client.get("/visits").text.split("\n\n")[:-1]
    told = [json.loads(line) for line in lines[-len(visits) :]]

    assert answer.status_code == 204
    assert told == [{"reduced": False} | one for one in visits]
    assert [json.loads(event.removeprefix("data: ")) for event in events[-len(visits) :]] == told
