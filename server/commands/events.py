"""Look after the event log, which tells clients of every change.

`renew` begins it anew: after rows were changed in a way that its triggers do not see (TRUNCATE, `DISABLE TRIGGER`,
`session_replication_role`, logical replication). Clients then read everything again; nothing is deleted.
"""

import argparse
import asyncio

from server.database.connect import begin_epoch, open_url
from server.settings.settings import Settings


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["renew"], metavar="ACTION", help="renew: let all clients begin anew")


def run(_arguments: argparse.Namespace, settings: Settings) -> int:
    with open_url(settings) as url:
        asyncio.run(begin_epoch(url))
    print("A new epoch of the event log has begun: clients read everything again")  # noqa: T201 - what was asked for
    return 0
