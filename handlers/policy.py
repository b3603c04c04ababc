"""Who may do what: role by action, pure data. `superuser` is no role of an organization, and beside it none counts."""

from enum import StrEnum


class Action(StrEnum):
    """What the contract's operations do to what an organization owns, or to the server."""

    read_tasks = "read_tasks"
    write_tasks = "write_tasks"
    read_audit_logs = "read_audit_logs"


ROLES: dict[Action, tuple[str, ...]] = {
    Action.read_tasks: ("owner", "admin", "member"),
    Action.write_tasks: ("owner", "admin"),
    Action.read_audit_logs: ("superuser",),
}
OPERATIONS: dict[str, Action] = {
    "listTasks": Action.read_tasks,
    "getTask": Action.read_tasks,
    "createTask": Action.write_tasks,
    "replaceTask": Action.write_tasks,
    "updateTask": Action.write_tasks,
    "toggleTaskCompletion": Action.write_tasks,
    "deleteTask": Action.write_tasks,
    "listAuditLogs": Action.read_audit_logs,
    "getAuditLog": Action.read_audit_logs,
}
"""The action of each operation that needs a role. A test holds this equal to the contract's roles."""
