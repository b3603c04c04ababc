"""log tasks"""

from alembic import op

revision = "f58a20c9d1e7"
down_revision = "e41c7d08a6b2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('docket.prune', true) IS DISTINCT FROM 'on' THEN
                RAISE insufficient_privilege USING MESSAGE = format(
                    'TRUNCATE of %s is refused: the event log would not tell of it', TG_TABLE_NAME
                );
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE FUNCTION log_new_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'task.created', greatest(clock_timestamp(), added.updated_at),
                    added.organization_id, added.id, added.version,
                (SELECT row_to_json(change) FROM (SELECT added.user_id, added.title,
                    added.description, added.status, added.priority,
                    CASE WHEN added.due_on IS NULL THEN added.due_date END AS due_date,
                        added.due_on, added.completed_at,
                    added.created_at, added.updated_at) AS change)
            FROM added WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on';
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_new_tasks AFTER INSERT ON tasks REFERENCING NEW TABLE AS added FOR EACH
            STATEMENT EXECUTE FUNCTION log_new_tasks()
    """)
    op.execute("""
        CREATE FUNCTION log_task() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'task.updated', greatest(clock_timestamp(), NEW.updated_at), NEW.organization_id, NEW.id, NEW.version,
                (SELECT row_to_json(change) FROM (SELECT NEW.user_id, NEW.title, NEW.description,
                    NEW.status, NEW.priority,
                    CASE WHEN NEW.due_on IS NULL THEN NEW.due_date END AS due_date, NEW.due_on, NEW.completed_at,
                    NEW.created_at, NEW.updated_at) AS change)
            WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on';
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_task AFTER UPDATE ON tasks FOR EACH ROW
            WHEN (NEW.version IS DISTINCT FROM OLD.version AND NEW.organization_id =
                OLD.organization_id) EXECUTE FUNCTION log_task()
    """)
    op.execute("""
        CREATE FUNCTION log_moved_task() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'task.deleted', clock_timestamp(), OLD.organization_id, OLD.id, NEW.version, NULL
            WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on';
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'task.created', greatest(clock_timestamp(), NEW.updated_at), NEW.organization_id, NEW.id, NEW.version,
                (SELECT row_to_json(change) FROM (SELECT NEW.user_id, NEW.title, NEW.description,
                    NEW.status, NEW.priority,
                    CASE WHEN NEW.due_on IS NULL THEN NEW.due_date END AS due_date, NEW.due_on, NEW.completed_at,
                    NEW.created_at, NEW.updated_at) AS change)
            WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on';
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_moved_task AFTER UPDATE OF organization_id ON tasks FOR EACH ROW
            WHEN (NEW.organization_id IS DISTINCT FROM OLD.organization_id) EXECUTE FUNCTION log_moved_task()
    """)
    op.execute("""
        CREATE FUNCTION log_old_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'task.deleted', clock_timestamp(), removed.organization_id, removed.id, removed.version + 1, NULL
            FROM removed WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on' AND NOT
                coalesce(strpos(current_setting('docket.cascade', true),
                removed.organization_id::text), 0) > 0;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_old_tasks AFTER DELETE ON tasks REFERENCING OLD TABLE AS removed FOR EACH
            STATEMENT EXECUTE FUNCTION log_old_tasks()
    """)
    op.execute("""
        CREATE TRIGGER keep_rows BEFORE TRUNCATE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_rows ON tasks")
    op.execute("DROP TRIGGER log_old_tasks ON tasks")
    op.execute("DROP FUNCTION log_old_tasks")
    op.execute("DROP TRIGGER log_moved_task ON tasks")
    op.execute("DROP FUNCTION log_moved_task")
    op.execute("DROP TRIGGER log_task ON tasks")
    op.execute("DROP FUNCTION log_task")
    op.execute("DROP TRIGGER log_new_tasks ON tasks")
    op.execute("DROP FUNCTION log_new_tasks")
    op.execute("DROP FUNCTION refuse_truncate")
