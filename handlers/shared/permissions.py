"""Who may do what: role by action. `superuser` is no role of an organization, and beside it none counts."""

from enum import StrEnum

from generated.operations import Forbidden
from persistence.authorization import OwnershipImplied


class Action(StrEnum):
    """What the contract's operations do to what an organization owns, or to the server."""

    read_tasks = "read_tasks"
    write_tasks = "write_tasks"
    read_organization = "read_organization"
    manage_organization = "manage_organization"
    manage_members = "manage_members"
    manage_owners = "manage_owners"
    leave = "leave"
    read_organization_audit_logs = "read_organization_audit_logs"
    read_audit_logs = "read_audit_logs"
    administer_users = "administer_users"


ROLES: dict[Action, tuple[str, ...]] = {
    Action.read_tasks: ("owner", "admin", "member"),
    Action.write_tasks: ("owner", "admin"),
    Action.read_organization: ("owner", "admin", "member"),
    Action.manage_organization: ("owner",),
    Action.manage_members: ("owner", "admin"),
    Action.manage_owners: ("owner",),
    Action.leave: ("owner", "admin", "member"),
    Action.read_organization_audit_logs: ("owner", "admin"),
    Action.read_audit_logs: ("superuser",),
    Action.administer_users: ("superuser",),
}
OPERATIONS: dict[str, Action] = {
    "listTasks": Action.read_tasks,
    "searchTasks": Action.read_tasks,
    "getTask": Action.read_tasks,
    "listTaskActivity": Action.read_tasks,
    "createTask": Action.write_tasks,
    "replaceTask": Action.write_tasks,
    "updateTask": Action.write_tasks,
    "toggleTaskCompletion": Action.write_tasks,
    "deleteTask": Action.write_tasks,
    "getOrganization": Action.read_organization,
    "updateOrganization": Action.manage_organization,
    "deleteOrganization": Action.manage_organization,
    "listMembers": Action.read_organization,
    "getMember": Action.read_organization,
    "placeMember": Action.administer_users,
    "listOrganizationInvitations": Action.manage_members,
    "inviteMember": Action.manage_members,
    "revokeInvitation": Action.manage_members,
    "updateMember": Action.manage_members,
    "removeMember": Action.leave,
    "listOrganizationAuditLogs": Action.read_organization_audit_logs,
    "listAuditLogs": Action.read_audit_logs,
    "getAuditLog": Action.read_audit_logs,
    "listUsers": Action.administer_users,
    "createUser": Action.administer_users,
    "bulkUpdateUsers": Action.administer_users,
    "deleteUser": Action.administer_users,
    "unlockUser": Action.administer_users,
    "createPasswordReset": Action.administer_users,
    "resetTotp": Action.administer_users,
    "listUserSessions": Action.administer_users,
    "revokeUserSessions": Action.administer_users,
}
"""The least that each operation with roles does; what concerns an owner is `manage_owners` beside it. A test
holds this equal to the contract's roles."""


def permit(role: str, action: Action, *, may_imply: bool) -> None:
    """Raises Forbidden when the role does not allow the action; OwnershipImplied when a superuser may ask again."""
    if role not in ROLES[action]:
        raise OwnershipImplied if may_imply else Forbidden("permission_denied", "Your role here does not allow this.")
