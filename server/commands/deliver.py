"""Send what waits to be sent, and nothing else: mails, until told to stop.

It is for servers with DELIVERY=off, or beside those that send as well: several share the work. `--test ADDRESS` puts a
mail to this address among those that wait, and ends.
"""

import argparse
import asyncio
import re
import signal
import sys

from uuid_utils.compat import uuid7

from persistence.engine.pool import Transaction
from persistence.queries import outbox
from persistence.queries.outbox import NewMail
from server.complaints import CommandError, say
from server.database import connect
from server.delivery.carriers import Carrier
from server.delivery.delivery import Delivery, carrier_of
from server.observability import logs
from server.settings.settings import ADDRESS, Settings


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--test", type=address, metavar="ADDRESS", help="put a test among what waits, and end")


def address(text: str) -> str:
    if not ADDRESS.fullmatch(text) or re.search("[\0\ud800-\udfff]", text):
        raise argparse.ArgumentTypeError("no address: write ada@example.com")
    return text


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    carrier = carrier_of(settings)
    if carrier is None:
        raise CommandError("SMTP_URL is not set: there is no mail")
    if arguments.test is not None:
        with connect.open_url(settings) as url:
            asyncio.run(put_test(url, arguments.test))
        return 0
    logs.configure(level=settings.log_level, form=settings.logs, out=sys.stdout)
    asyncio.run(deliver(settings, carrier))
    return 0


async def put_test(url: str, recipient: str) -> None:
    async with connect.connect(url) as connection:
        await outbox.insert(Transaction(connection), NewMail(uuid7(), "test", recipient, None))


async def deliver(settings: Settings, carrier: Carrier) -> None:
    """Send until told to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    pooled = connect.open_pool(settings)
    async with pooled() as db, Delivery(db, carrier, settings.base_of_links, settings.sender).running():
        say("Docket sends what waits")
        await stopped.wait()
