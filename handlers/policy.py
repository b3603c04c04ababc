"""Who may do what in an organization: role by action, pure data."""

from enum import StrEnum


class Action(StrEnum):
    """What the contract's operations do to what an organization owns."""

    read_tasks = "read_tasks"
    write_tasks = "write_tasks"


ROLES: dict[Action, tuple[str, ...]] = {
    Action.read_tasks: ("owner", "admin", "member"),
    Action.write_tasks: ("owner", "admin"),
}
OPERATIONS: dict[str, Action] = {
    "listTasks": Action.read_tasks,
    "getTask": Action.read_tasks,
    "createTask": Action.write_tasks,
    "replaceTask": Action.write_tasks,
    "updateTask": Action.write_tasks,
    "toggleTaskCompletion": Action.write_tasks,
    "deleteTask": Action.write_tasks,
}
"""The action of each operation that needs a role. A test holds this equal to the contract's roles."""
