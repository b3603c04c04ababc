"""What a document says in words of its own is handed to the application as it stands."""

from pathlib import Path

from tests.contract.small import NOTHING, document, package

WORDS = {"x-rate-limit": ["any", {"type": None}], "x-roles": True, "x-max-body": 10}


def test_an_operation_has_its_extensions_and_no_others(tmp_path: Path) -> None:
    paths = {"/it": {"get": {"responses": NOTHING, **WORDS}, "post": {"responses": NOTHING}, "x-of-the-path": 1}}

    made = package(document(paths, **{"x-problems": 7, "x-rate-limits": []}), tmp_path)

    assert [operation.extensions for operation in made.OPERATIONS] == [WORDS, {}]
    assert made.EXTENSIONS == {"x-problems": 7, "x-rate-limits": []}
