"""Holds what is made up to the contract: what a caller would have sent, and what he would be answered."""

import json
from pathlib import Path
from typing import Any

from contract.schemas import Schemas
from contract.validation import faults
from generated import models
from server.complaints import CommandError

DOCUMENT = Path(__file__).parents[2] / "generated" / "openapi.json"
NAMES = ("Task", "TaskCreate", "User", "UserRegister")
SENT = [name for name in models.TaskCreate.model_fields if name in models.Task.model_fields]


class Contract:
    """The schemas of the document. What breaks one of them raises CommandError, with its places."""

    def __init__(self) -> None:
        schemas = Schemas(json.loads(DOCUMENT.read_bytes()))
        self.compiled = {name: schemas[f"#/components/schemas/{name}"] for name in NAMES}

    def check_task(self, task: models.Task) -> None:
        whole = task.model_dump(mode="json")
        self.check("Task", whole)
        self.check("TaskCreate", {name: whole[name] for name in SENT})

    def check_user(self, user: models.User, password: str) -> None:
        whole = user.model_dump(mode="json")
        self.check("User", whole)
        sent = {name: whole[name] for name in ("email", "username", "full_name")}
        self.check("UserRegister", sent | {"password": password})

    def check(self, name: str, value: dict[str, Any]) -> None:
        schema = self.compiled[name]
        if not schema.is_valid(value):
            said = "; ".join(f"{fault.pointer} {fault.detail}" for fault in faults("body", schema, value))
            raise CommandError(f"The contract refuses {name} {value.get('id', '')}: {said}")
