"""The triggers that write the event log: in SQL, since no handler, no command and no release may forget an event.

A change of a row is an event where its version grew. Its `xid` is not below that of its transaction, nor below that of
an earlier event of the row: who wrote that has committed by the time when the row is ours, as a new snapshot tells.
With `docket.restore` nothing is written, and nothing into the feeds that `docket.cascade` names, which are to end.
"""

OWN_XID = "pg_current_xact_id()::text::bigint"
WRITE = f"""INSERT INTO events
        (xid, seq, transaction, day, caused_by, type, occurred_at, feed_id, subject_id, version, data)
    SELECT greatest({OWN_XID}, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1), nextval('event_seq'),
        {OWN_XID}, timezone('UTC', clock_timestamp())::date, nullif(current_setting('docket.caller', true), '')"""
LOGGED = "current_setting('docket.restore', true) IS DISTINCT FROM 'on'"
GROWN = "NEW.version IS DISTINCT FROM OLD.version"
TASK = """row_to_json(change) FROM (SELECT {0}.user_id, {0}.title, {0}.description, {0}.status, {0}.priority,
            CASE WHEN {0}.due_on IS NULL THEN {0}.due_date END AS due_date, {0}.due_on, {0}.completed_at,
            {0}.created_at, {0}.updated_at) AS change"""
ORGANIZATION = """row_to_json(change) FROM (SELECT {0}.kind, CASE {0}.kind WHEN 'team' THEN {0}.name END AS name,
            {0}.slug, {0}.description, {0}.created_at, {0}.updated_at) AS change"""
MEMBER = "row_to_json(change) FROM (SELECT {0}.role, {0}.created_at, {0}.updated_at) AS change"
"""Of a row what the event has no column for."""


def of(kind: str, feed: str, row: str, data: str, subject: str = "id") -> str:
    """What an event tells of a row as it is now."""
    moment = f"greatest(clock_timestamp(), {row}.updated_at)"
    return f"'{kind}', {moment}, {row}.{feed}, {row}.{subject}, {row}.version,\n        (SELECT {data.format(row)})"


def ends(feed: str) -> str:
    return f"coalesce(strpos(current_setting('docket.cascade', true), {feed}::text), 0) > 0"


def trigger(name: str, when: str, body: str, *, answer: str = "NULL") -> str:
    return f"""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {body};
    RETURN {answer};
END $$;
CREATE TRIGGER {name} {when} EXECUTE FUNCTION {name}();
"""


TASKS = [
    trigger(
        "log_new_tasks",
        "AFTER INSERT ON tasks REFERENCING NEW TABLE AS added FOR EACH STATEMENT",
        f"""{WRITE},
        {of("task.created", "organization_id", "added", TASK)}
    FROM added WHERE {LOGGED}""",
    ),
    trigger(
        "log_task",
        f"AFTER UPDATE ON tasks FOR EACH ROW\n    WHEN ({GROWN} AND NEW.organization_id = OLD.organization_id)",
        f"""{WRITE},
        {of("task.updated", "organization_id", "NEW", TASK)}
    WHERE {LOGGED}""",
    ),
    trigger(
        "log_moved_task",
        "AFTER UPDATE OF organization_id ON tasks FOR EACH ROW\n"
        "    WHEN (NEW.organization_id IS DISTINCT FROM OLD.organization_id)",
        f"""{WRITE},
        'task.deleted', clock_timestamp(), OLD.organization_id, OLD.id, NEW.version, NULL
    WHERE {LOGGED};
    {WRITE},
        {of("task.created", "organization_id", "NEW", TASK)}
    WHERE {LOGGED}""",
    ),
    trigger(
        "log_old_tasks",
        "AFTER DELETE ON tasks REFERENCING OLD TABLE AS removed FOR EACH STATEMENT",
        f"""{WRITE},
        'task.deleted', clock_timestamp(), removed.organization_id, removed.id, removed.version + 1, NULL
    FROM removed WHERE {LOGGED} AND NOT {ends("removed.organization_id")}""",
    ),
]
ORGANIZATIONS = [
    trigger(
        "log_new_organizations",
        "AFTER INSERT ON organizations REFERENCING NEW TABLE AS added FOR EACH STATEMENT",
        f"""{WRITE},
        {of("organization.created", "id", "added", ORGANIZATION)}
    FROM added WHERE {LOGGED} AND added.kind = 'team'""",
    ),
    trigger(
        "log_organization",
        f"AFTER UPDATE ON organizations FOR EACH ROW WHEN ({GROWN})",
        f"""{WRITE},
        {of("organization.updated", "id", "NEW", ORGANIZATION)}
    WHERE {LOGGED}""",
    ),
    trigger(
        "end_feed",
        "BEFORE DELETE ON organizations FOR EACH ROW",
        """PERFORM set_config(
        'docket.cascade', concat_ws(' ', nullif(current_setting('docket.cascade', true), ''), OLD.id), true
    )""",
        answer="OLD",
    ),
]
MEMBERS = [
    trigger(
        "note_joining",
        "BEFORE INSERT ON organization_members FOR EACH ROW",
        f"""IF {LOGGED} THEN
        NEW.joined_seq := nextval('event_seq');
        NEW.joined_after := (
            SELECT format('%s:%s:%s', min(xid), greatest(
                max(xid) + 1, pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            ), string_agg(xid::text, ',' ORDER BY xid)) FROM (
                SELECT pg_snapshot_xip(pg_current_snapshot())::text::bigint
                UNION SELECT {OWN_XID}
                UNION SELECT generate_series(pg_snapshot_xmax(pg_current_snapshot())::text::bigint, {OWN_XID})
            ) AS running (xid)
        );
    END IF""",
        answer="NEW",
    ),
    trigger(
        "log_new_members",
        "AFTER INSERT ON organization_members REFERENCING NEW TABLE AS added FOR EACH STATEMENT",
        f"""{WRITE},
        'organization.joined', clock_timestamp(), added.user_id, place.id, place.version,
        (SELECT {ORGANIZATION.format("place")})
    FROM added JOIN organizations AS place ON place.id = added.organization_id
    WHERE {LOGGED} AND place.kind = 'team';
    {WRITE},
        {of("member.created", "organization_id", "added", MEMBER, "user_id")}
    FROM added WHERE {LOGGED} AND added.organization_id <> added.user_id""",
    ),
    trigger(
        "log_member",
        f"AFTER UPDATE ON organization_members FOR EACH ROW\n    WHEN ({GROWN} AND NEW.organization_id <> NEW.user_id)",
        f"""{WRITE},
        {of("member.updated", "organization_id", "NEW", MEMBER, "user_id")}
    WHERE {LOGGED}""",
    ),
    trigger(
        "log_old_members",
        "AFTER DELETE ON organization_members REFERENCING OLD TABLE AS removed FOR EACH STATEMENT",
        f"""{WRITE},
        'member.deleted', clock_timestamp(), removed.organization_id, removed.user_id, removed.version + 1, NULL
    FROM removed WHERE {LOGGED} AND removed.organization_id <> removed.user_id
        AND NOT {ends("removed.organization_id")};
    {WRITE},
        CASE WHEN {ends("removed.organization_id")} THEN 'organization.deleted' ELSE 'organization.left' END,
        clock_timestamp(), removed.user_id, removed.organization_id, NULL, NULL
    FROM removed WHERE {LOGGED} AND removed.organization_id <> removed.user_id AND NOT {ends("removed.user_id")}""",
    ),
    trigger(
        "log_account",
        "AFTER UPDATE OF email, username, full_name ON users FOR EACH ROW WHEN (\n"
        "    (NEW.email, NEW.username, NEW.full_name) IS DISTINCT FROM (OLD.email, OLD.username, OLD.full_name)\n)",
        f"""{WRITE},
        {of("member.updated", "organization_id", "own", MEMBER, "user_id")}
    FROM organization_members AS own
    WHERE {LOGGED} AND own.user_id = NEW.id AND own.organization_id <> own.user_id""",
    ),
]
WHOLE = """
CREATE SEQUENCE event_seq;
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('docket.prune', true) IS DISTINCT FROM 'on' THEN
        RAISE insufficient_privilege USING MESSAGE = format(
            'TRUNCATE of %s is refused: the event log would not tell of it', TG_TABLE_NAME
        );
    END IF;
    RETURN NULL;
END $$;
""" + "".join(
    f"CREATE TRIGGER keep_rows BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();\n"
    for table in ("tasks", "organizations", "organization_members")
)
EVENT_TRIGGERS = "".join([*TASKS, *ORGANIZATIONS, *MEMBERS, WHOLE])
