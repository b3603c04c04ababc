"""The tasks of an organization, deleted in batches."""

from uuid import UUID

from persistence.engine.pool import Database
from persistence.queries import organizations


async def delete_tasks(db: Database, organization_id: UUID) -> int:
    """How many tasks of the organization there were."""
    count = batch = await organizations.delete_tasks(db, organization_id)
    while batch == organizations.BATCH:
        batch = await organizations.delete_tasks(db, organization_id)
        count += batch
    return count
