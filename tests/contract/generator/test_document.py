from pathlib import Path
from typing import Any

import pytest

from contract.generator.document import Refused, load


def read(tmp_path: Path, text: str | bytes) -> Any:
    source = tmp_path / "openapi.yaml"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(source)


@pytest.mark.parametrize(
    "text",
    [
        *["yes", "no", "on", "off", "Yes", "NO", "y", "n", "True", "FALSE", "Null", "NULL"],
        *["2026-01-31", "2026-01-31T09:30:00Z", "12:30:45", "1:30"],
        *["010", "0o17", "0x1F", "0b11", "1_000", "+1", "00"],
        *[".5", "5.", ".inf", "-.inf", ".nan", "1e", "1.2.3"],
        *["=", "<<"],
    ],
)
def test_a_word_that_is_no_json_stays_a_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, f"{{key: [{text}]}}") == {"key": [text]}
    assert read(tmp_path, f"{text}: 1") == {text: 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("true", True), ("false", False), ("null", None), ("~", None), ("", None)],
        *[("0", 0), ("-1", -1), ("1000", 1000), ("0.5", 0.5), ("-1.5e3", -1500.0), ("1e3", 1000.0)],
        *[("'yes'", "yes"), ('"010"', "010"), ("'1'", "1"), ("a b", "a b")],
    ],
)
def test_what_is_json_is_what_it_is_in_json(tmp_path: Path, text: str, value: object) -> None:
    read_back = read(tmp_path, f"key: {text}")["key"]

    assert read_back == value
    assert type(read_back) is type(value)


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: 1\nb: [1\n", "line 3", "is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2", "line 2", "is not YAML: found character '\\t' that cannot start any token"),
        ("a: &b 1\nc: *d", "line 2", "is not YAML: found undefined alias 'd'"),
        ("a: !!python/name:os.system", "line 1", "is not YAML: could not determine a constructor for the tag"),
        ("a: 1\n---\nb: 2", "line 2", "is not YAML: but found another document"),
        ("a: \x00", "#", "is not YAML: unacceptable character #x0000"),
        (b"a: \xff", "#", "is not YAML: 'utf-8' codec can't decode byte 0xff"),
        ("", "#", "is not an object"),
        ("[1, 2]", "#", "is not an object"),
        ("a text", "#", "is not an object"),
        ("a: 1\nb: {c: 1, d: 2}\na: 3", "line 3", "the key 'a' stands twice"),
        ("paths:\n  /a:\n    get: {}\n    get: {}", "line 4", "the key 'get' stands twice"),
        ("a:\n  200: {}", "line 2", "the key 200 is no text: quote it"),
        ("a:\n  true: {}", "line 2", "the key True is no text: quote it"),
        ("a:\n  ? [b]\n  : c", "line 2", "the key ['b'] is no text: quote it"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused_by_line(
    tmp_path: Path, text: str | bytes, place: str, reason: str
) -> None:
    with pytest.raises(Refused) as refusal:
        read(tmp_path, text)

    assert refusal.value.place == place
    assert refusal.value.reason.startswith(reason)
