"""What is logged is one line, tells what happened, and tells no secret."""

import json
import logging
from typing import Literal

import asyncpg
import pytest
import structlog
from pydantic import TypeAdapter, ValidationError

from tests.binding.conftest import capture_log
from tests.conftest import Bench

FORMS: tuple[Literal["json", "console"], ...] = ("json", "console")
CANARY = "do-not-tell"
FORGED = "a\r\n2026-01-01T00:00:00Z [error] forged"


def fail(password: str) -> None:
    raise ValueError(f"no good, of {len(password)} characters")


class TestJson:
    def test_an_event_is_one_line_with_its_level_and_moment(self) -> None:
        with capture_log("json") as text:
            structlog.get_logger("test").warning("happened", count=2, path="/a b", nothing=None)

        line = json.loads(text())
        assert line.pop("timestamp").endswith("Z")
        assert line == {"event": "happened", "level": "warning", "count": 2, "path": "/a b", "nothing": None}

    def test_a_line_of_a_library_has_the_same_form(self) -> None:
        with capture_log("json") as text:
            logging.getLogger("library").warning("lost %s of %d", "one", 3)

        line = json.loads(text())
        assert (line["event"], line["level"]) == ("lost one of 3", "warning")
        assert line["timestamp"].endswith("Z")

    def test_an_exception_is_a_structure_without_the_values_of_variables(self) -> None:
        with capture_log("json") as text:
            try:
                fail(CANARY)
            except ValueError:
                structlog.get_logger("test").exception("failed")
                logging.getLogger("library").exception("failed too")

        lines = [json.loads(line) for line in text().splitlines()]
        assert [line["event"] for line in lines] == ["failed", "failed too"]
        for line in lines:
            [told] = line["exception"]
            assert (told["exc_type"], told["exc_value"]) == ("ValueError", "no good, of 11 characters")
            assert [frame["name"] for frame in told["frames"]][-1] == "fail"
        assert CANARY not in text()

    @pytest.mark.proves("ASVS 5.0 16.2.5", "A logged exception quotes neither rows nor input")
    async def test_an_exception_does_not_quote_rows_or_input(self, db: Bench) -> None:
        statement = "INSERT INTO users (id, email, email_key) VALUES (gen_random_uuid(), $1, $1)"
        with capture_log("json") as text:
            try:
                await db.fetch(statement, [CANARY])
            except asyncpg.NotNullViolationError:
                structlog.get_logger("test").exception("failed")
            try:
                TypeAdapter(int).validate_python(CANARY)
            except ValidationError:
                structlog.get_logger("test").exception("failed")

        database, model = [json.loads(line)["exception"][0]["exc_value"] for line in text().splitlines()]
        assert "violates not-null constraint" in database
        assert model == "1 validation error for int"
        assert CANARY not in text()

    def test_what_is_no_json_is_logged_all_the_same(self) -> None:
        with capture_log("json") as text:
            structlog.get_logger("test").info("odd", surrogate="\ud800", raw=b"\xff", thing=object, number=float("nan"))

        line = json.loads(text())
        assert line["surrogate"] == "\ud800"
        assert "object" in line["thing"]


class TestConsole:
    def test_an_event_is_one_line_for_people(self) -> None:
        with capture_log("console") as text:
            structlog.get_logger("test").warning("happened", count=2)
            logging.getLogger("library").warning("lost %s", "one")

        first, second = text().splitlines()
        assert "[warning  ] happened" in first
        assert "count=2" in first
        assert "[warning  ] lost one" in second

    def test_an_exception_has_no_values_of_variables(self) -> None:
        with capture_log("console") as text:
            try:
                fail(CANARY)
            except ValueError:
                structlog.get_logger("test").exception("failed")
                logging.getLogger("library").exception("failed too")

        assert text().count("ValueError: no good, of 11 characters") == 2
        assert CANARY not in text()

    @pytest.mark.proves("ASVS 5.0 16.2.5", "An exception written for people quotes no rows either")
    async def test_an_exception_names_its_place_and_cause_and_quotes_no_row(self, db: Bench) -> None:
        with capture_log("console") as text:
            try:
                await db.fetch("INSERT INTO users (id, email, email_key) VALUES (gen_random_uuid(), $1, $1)", [CANARY])
            except asyncpg.NotNullViolationError as error:
                consequence = KeyError("consequence")
                consequence.__cause__ = error
                structlog.get_logger("test").error("failed", exc_info=consequence)

        place, told = text().split("NotNullViolationError: ")
        assert f'File "{__file__}"' in place
        assert "violates not-null constraint" in told
        assert told.endswith("KeyError: 'consequence'\n")
        assert CANARY not in text()


@pytest.mark.parametrize("form", FORMS)
def test_a_line_break_in_a_value_makes_no_second_line(form: Literal["json", "console"]) -> None:
    with capture_log(form) as text:
        structlog.get_logger("test").info("request", path=FORGED)

    assert len(text().splitlines()) == 1


@pytest.mark.parametrize("form", FORMS)
def test_what_matters_less_than_the_level_is_not_logged(form: Literal["json", "console"]) -> None:
    with capture_log(form, "error") as text:
        structlog.get_logger("test").warning("seen")
        logging.getLogger("library").warning("seen")
        structlog.get_logger("test").error("failed")

    assert "seen" not in text()
    assert "failed" in text()


def test_libraries_that_tell_much_tell_only_of_trouble() -> None:
    with capture_log("json") as text:
        for name in ("uvicorn.error", "alembic.runtime.migration", "asyncio"):
            logging.getLogger(name).info("chatter")
            logging.getLogger(name).warning("trouble")

    assert [json.loads(line)["event"] for line in text().splitlines()] == ["trouble"] * 3
