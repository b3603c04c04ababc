"""Judges generated code before it is copied: it is imported, and bound to handlers that do nothing."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Never

from contract.binding import Binding, Server
from contract.generator.lowering.parser import Contract
from contract.generator.reading.document import Findings, Node
from contract.servers import usual
from contract.types import ContractError, Operation, Result

NUMBERS = count(1)


def judge(folder: Path, document: Node, contract: Contract) -> None:
    """Try the code in a folder. Raises InvalidContract with each place that it does not do for."""
    findings = Findings()
    with import_operations(folder, findings) as module:
        findings.close()
        refuse_unbound(module.OPERATIONS, document, contract, findings)
    findings.close()


@contextmanager
def import_operations(folder: Path, findings: Findings) -> Iterator[Any]:
    """The module of operations, under a name of its own for as long as it is looked at."""
    name = f"judged_{next(NUMBERS)}"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    module = ModuleType(name)
    try:
        sys.modules[name] = importlib.util.module_from_spec(spec) if spec else module
        module = importlib.import_module(f"{name}.operations")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with what was made of the document
        findings.add("#", f"becomes code that cannot be imported: {' '.join(str(error).split())}")
    finally:
        sys.dont_write_bytecode = writes
    try:
        yield module
    finally:
        for one in [one for one in sys.modules if one.split(".")[0] == name]:
            del sys.modules[one]


def refuse_unbound(operations: Sequence[Operation], document: Node, contract: Contract, findings: Findings) -> None:
    """Find the operations that cannot be bound to any handler."""
    left = list(operations)
    places = {operation.id: operation.pointer for operation in contract.operations}
    while left:
        handlers: Any = stubs(left)
        authenticators = {name: admit_no_caller for operation in left for one in operation.security for name in one}
        base = usual(left[0].servers[0]) if any(len(operation.servers) > 1 for operation in left) else None
        try:
            Binding(
                left,
                handlers,
                document,
                Server(),
                authenticators=authenticators,
                conditions=contract.conditions,
                base=base,
            )
        except ContractError as error:
            wrong = next((one for one in left if str(error).startswith(f"{one.id} ")), left[0])
            findings.add(places[wrong.id], str(error).removeprefix(f"{wrong.id} "))
            left.remove(wrong)
        else:
            return


async def admit_no_caller(_exchange: object, _scopes: object) -> None:
    """The authenticator of a scheme, where there is none yet."""


def stubs(operations: Sequence[Operation]) -> SimpleNamespace:
    """A handler for each operation, with the arguments that it gets."""
    found = SimpleNamespace()
    for operation in operations:
        tag = vars(found).setdefault(operation.tag, SimpleNamespace())
        result = operation.replies[0].result if operation.replies else Never
        setattr(tag, operation.name, stub(operation.arguments, result))
    return found


def stub(names: Sequence[str], result: Any) -> Any:
    async def answer(call: object, /, **arguments: object) -> Result:
        raise NotImplementedError

    parameters = [inspect.Parameter("call", inspect.Parameter.POSITIONAL_ONLY)]
    parameters += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    answer.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    answer.__annotations__ = {"return": result}
    return answer
