from pathlib import Path
from typing import Any

import pytest

from contract.generator.reading.document import InvalidContract, load


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
        ("a: 1\nb: [1\n", "line 3", "is not YAML: did not find expected ',' or ']'"),
        ("a: 1\n\tb: 2", "line 2", "is not YAML: found a tab character"),
        ("a: &b 1\nc: *d", "line 2", "is not YAML: found undefined alias"),
        ("a: !!python/name:os.system", "line 1", "is not YAML: could not determine a constructor for the tag"),
        ("a: 1\n---\nb: 2", "line 2", "is not YAML: but found another document"),
        ("a: \x00", "#", "is not YAML: unacceptable character #x0000"),
        (b"a: \xff", "#", "is not YAML: 'utf-8' codec can't decode byte 0xff"),
        ("", "#", "is not an object"),
        ("[1, 2]", "#", "is not an object"),
        ("a text", "#", "is not an object"),
        ("a: 1\nb: {c: 1, d: 2}\na: 3", "line 3", "the key 'a' stands twice: take one away"),
        ("paths:\n  /a:\n    get: {}\n    get: {}", "line 4", "the key 'get' stands twice: take one away"),
        ("a: &it\n  b: *it", "#/a" + "/b" * 100, "is nested deeper than 100 levels, or in itself"),
        ("a: " + "[" * 200 + "]" * 200, "#/a" + "/0" * 100, "is nested deeper than 100 levels"),
        ("a: 1e999", "#/a", "is a number beyond all bounds"),
        ('a: "\\ud800"', "line 1", "is not YAML: found invalid Unicode character escape code"),
        ("a:\n  true: {}", "line 2", "the key True is no text: quote it"),
        ("a:\n  ? [b]\n  : c", "line 2", "the key ['b'] is no text: quote it"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused_by_line(
    tmp_path: Path, text: str | bytes, place: str, reason: str
) -> None:
    with pytest.raises(InvalidContract) as invalid:
        read(tmp_path, text)

    [refused] = invalid.value.found
    assert refused.place == place
    assert refused.reason.startswith(reason)


def test_every_key_that_is_refused_is_told_at_once(tmp_path: Path) -> None:
    text = "a: {true: 1}\nb: 1\nb: 2"

    with pytest.raises(InvalidContract) as invalid:
        read(tmp_path, text)

    assert [(refused.place, refused.reason) for refused in invalid.value.found] == [
        ("line 3", "the key 'b' stands twice: take one away"),
        ("line 1", "the key True is no text: quote it"),
    ]


def test_a_status_needs_no_quotes(tmp_path: Path) -> None:
    assert read(tmp_path, "200: {a: 1}\n'201': 2") == {"200": {"a": 1}, "201": 2}


def test_what_an_alias_names_is_there_twice(tmp_path: Path) -> None:
    document = read(tmp_path, "a: &it {b: [1]}\nc: *it")

    assert document == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert document["a"] is not document["c"]


def test_a_character_may_be_escaped_as_in_json(tmp_path: Path) -> None:
    assert read(tmp_path, r'{"a": "\ud83d\ude00", "b": "\\ud83d\\ude00"}') == {"a": "😀", "b": r"\ud83d\ude00"}


def test_a_byte_order_mark_is_no_part_of_a_document(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1") == {"a": 1}
