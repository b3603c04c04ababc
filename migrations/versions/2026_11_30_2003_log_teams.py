"""log teams"""

from alembic import op

revision = "a6093be4f7c8"
down_revision = "f58a20c9d1e7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION log_new_organizations() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'organization.created', greatest(clock_timestamp(), added.updated_at), added.id,
                    added.id, added.version,
                (SELECT row_to_json(change) FROM (SELECT added.kind, CASE added.kind WHEN 'team'
                    THEN added.name END AS name,
                    added.slug, added.description, added.created_at, added.updated_at) AS change)
            FROM added WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on' AND added.kind = 'team';
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_new_organizations AFTER INSERT ON organizations REFERENCING NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION log_new_organizations()
    """)
    op.execute("""
        CREATE FUNCTION log_organization() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'organization.updated', greatest(clock_timestamp(), NEW.updated_at), NEW.id, NEW.id, NEW.version,
                (SELECT row_to_json(change) FROM (SELECT NEW.kind, CASE NEW.kind WHEN 'team' THEN
                    NEW.name END AS name,
                    NEW.slug, NEW.description, NEW.created_at, NEW.updated_at) AS change)
            WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on';
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_organization AFTER UPDATE ON organizations FOR EACH ROW WHEN (NEW.version IS
            DISTINCT FROM OLD.version) EXECUTE FUNCTION log_organization()
    """)
    op.execute("""
        CREATE FUNCTION end_feed() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM set_config(
                'docket.cascade', concat_ws(' ', nullif(current_setting('docket.cascade', true), ''), OLD.id), true
            );
            RETURN OLD;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER end_feed BEFORE DELETE ON organizations FOR EACH ROW EXECUTE FUNCTION end_feed()
    """)
    op.execute("""
        CREATE FUNCTION note_joining() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('docket.restore', true) IS DISTINCT FROM 'on' THEN
                NEW.joined_seq := nextval('event_seq');
                NEW.joined_after := (
                    SELECT format('%s:%s:%s', min(xid), greatest(
                        max(xid) + 1, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
                    ), string_agg(xid::text, ',' ORDER BY xid)) FROM (
                        SELECT pg_snapshot_xip(pg_current_snapshot())::text::bigint
                        UNION SELECT pg_current_xact_id()::text::bigint
                        UNION SELECT
                            generate_series(pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                            pg_current_xact_id()::text::bigint)
                    ) AS running (xid)
                );
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER note_joining BEFORE INSERT ON organization_members FOR EACH ROW EXECUTE FUNCTION note_joining()
    """)
    op.execute("""
        CREATE FUNCTION log_new_members() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'organization.joined', clock_timestamp(), added.user_id, place.id, place.version,
                (SELECT row_to_json(change) FROM (SELECT place.kind, CASE place.kind WHEN 'team'
                    THEN place.name END AS name,
                    place.slug, place.description, place.created_at, place.updated_at) AS change)
            FROM added JOIN organizations AS place ON place.id = added.organization_id
            WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on' AND place.kind = 'team';
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'member.created', greatest(clock_timestamp(), added.updated_at),
                    added.organization_id, added.user_id, added.version,
                (SELECT row_to_json(change) FROM (SELECT added.role, added.created_at, added.updated_at) AS change)
            FROM added WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on' AND
                added.organization_id <> added.user_id;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_new_members AFTER INSERT ON organization_members REFERENCING NEW TABLE AS added
            FOR EACH STATEMENT EXECUTE FUNCTION log_new_members()
    """)
    op.execute("""
        CREATE FUNCTION log_member() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'member.updated', greatest(clock_timestamp(), NEW.updated_at),
                    NEW.organization_id, NEW.user_id, NEW.version,
                (SELECT row_to_json(change) FROM (SELECT NEW.role, NEW.created_at, NEW.updated_at) AS change)
            WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on';
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_member AFTER UPDATE ON organization_members FOR EACH ROW
            WHEN (NEW.version IS DISTINCT FROM OLD.version AND NEW.organization_id <> NEW.user_id)
                EXECUTE FUNCTION log_member()
    """)
    op.execute("""
        CREATE FUNCTION log_old_members() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'member.deleted', clock_timestamp(), removed.organization_id, removed.user_id,
                    removed.version + 1, NULL
            FROM removed WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on' AND
                removed.organization_id <> removed.user_id
                AND NOT coalesce(strpos(current_setting('docket.cascade', true),
                    removed.organization_id::text), 0) > 0;
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                CASE WHEN coalesce(strpos(current_setting('docket.cascade', true),
                    removed.organization_id::text), 0) > 0 THEN 'organization.deleted' ELSE
                    'organization.left' END,
                clock_timestamp(), removed.user_id, removed.organization_id, NULL, NULL
            FROM removed WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on' AND
                removed.organization_id <> removed.user_id AND NOT
                coalesce(strpos(current_setting('docket.cascade', true), removed.user_id::text), 0) >
                0;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_old_members AFTER DELETE ON organization_members REFERENCING OLD TABLE AS
            removed FOR EACH STATEMENT EXECUTE FUNCTION log_old_members()
    """)
    op.execute("""
        CREATE FUNCTION log_account() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO events
                (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
            SELECT greatest(pg_current_xact_id()::text::bigint,
                pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
                pg_current_xact_id()::text::bigint, timezone('UTC', clock_timestamp())::date,
                    nullif(current_setting('docket.caller', true), ''),
                'member.updated', greatest(clock_timestamp(), own.updated_at),
                    own.organization_id, own.user_id, own.version,
                (SELECT row_to_json(change) FROM (SELECT own.role, own.created_at, own.updated_at) AS change)
            FROM organization_members AS own
            WHERE current_setting('docket.restore', true) IS DISTINCT FROM 'on' AND own.user_id =
                NEW.id AND own.organization_id <> own.user_id;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER log_account AFTER UPDATE OF email, username, full_name ON users FOR EACH ROW WHEN (
            (NEW.email, NEW.username, NEW.full_name) IS DISTINCT FROM (OLD.email, OLD.username, OLD.full_name)
        ) EXECUTE FUNCTION log_account()
    """)
    op.execute("""
        CREATE TRIGGER keep_rows BEFORE TRUNCATE ON organizations FOR EACH STATEMENT EXECUTE FUNCTION
            refuse_truncate()
    """)
    op.execute("""
        CREATE TRIGGER keep_rows BEFORE TRUNCATE ON organization_members FOR EACH STATEMENT EXECUTE
            FUNCTION refuse_truncate()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_rows ON organization_members")
    op.execute("DROP TRIGGER keep_rows ON organizations")
    op.execute("DROP TRIGGER log_account ON users")
    op.execute("DROP FUNCTION log_account")
    op.execute("DROP TRIGGER log_old_members ON organization_members")
    op.execute("DROP FUNCTION log_old_members")
    op.execute("DROP TRIGGER log_member ON organization_members")
    op.execute("DROP FUNCTION log_member")
    op.execute("DROP TRIGGER log_new_members ON organization_members")
    op.execute("DROP FUNCTION log_new_members")
    op.execute("DROP TRIGGER note_joining ON organization_members")
    op.execute("DROP FUNCTION note_joining")
    op.execute("DROP TRIGGER end_feed ON organizations")
    op.execute("DROP FUNCTION end_feed")
    op.execute("DROP TRIGGER log_organization ON organizations")
    op.execute("DROP FUNCTION log_organization")
    op.execute("DROP TRIGGER log_new_organizations ON organizations")
    op.execute("DROP FUNCTION log_new_organizations")
