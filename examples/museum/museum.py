"""A museum: its exhibits with photos, and who comes in, all in memory. Start it: `uvicorn museum:app`."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from hmac import compare_digest
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import MISSING

from contract.asgi import Application
from contract.binding import Binding, Server
from contract.credentials import credentials_of
from contract.exchange import Exchange
from contract.refusals import OwnProblem
from contract.types import Text
from generated.models import Exhibit, ExhibitList, NewExhibit, Problem, Room, Visit
from generated.operations import (
    OPERATIONS,
    SCHEMES,
    AddExhibit201,
    CountVisits204,
    Failure,
    GetExhibit200,
    GetPhoto200,
    Handlers,
    ListExhibits200,
    ReplacePhoto204,
    ReplacePhotoForm,
    WatchVisits200,
)

STAFF_KEY = "let me in"  # of an example: a real one stands in no file
MISSED = Failure(status=404, body=Problem(title="Not Found", status=404, detail="There is no such exhibit, or photo."))


class Exhibits:
    """What the museum shows."""

    def __init__(self) -> None:
        self.shown: dict[UUID, Exhibit] = {}
        self.photos: dict[UUID, bytes] = {}

    async def list_exhibits(self, call: Exchange, /, *, rooms: list[Room] | MISSING) -> ListExhibits200 | Failure:
        chosen = [one for one in self.shown.values() if rooms is MISSING or one.room in rooms]
        found = [without_worth(one) for one in sorted(chosen, key=lambda one: one.title)]
        if call.media_type == "text/csv":
            return ListExhibits200(body=Text(table(found), "text/csv; charset=utf-8"))
        return ListExhibits200(body=ExhibitList(items=found))

    async def add_exhibit(self, _call: Exchange, /, *, body: NewExhibit) -> AddExhibit201 | Failure:
        made = Exhibit(
            id=uuid4(),
            title=body.title,
            room=body.room,
            made=None if body.made is MISSING else body.made,
            worth=body.worth,
        )
        self.shown[made.id] = made
        return AddExhibit201(body=made, location=f"/exhibits/{made.id}")

    async def get_exhibit(self, call: Exchange, /, *, id: UUID) -> GetExhibit200 | Failure:
        if id not in self.shown:
            return MISSED
        is_staff = "staffKey" in call.callers
        return GetExhibit200(body=self.shown[id] if is_staff else without_worth(self.shown[id]))

    async def get_photo(self, _call: Exchange, /, *, id: UUID) -> GetPhoto200 | Failure:
        return GetPhoto200(body=Text(self.photos[id], "image/png")) if id in self.photos else MISSED

    async def replace_photo(self, _call: Exchange, /, *, id: UUID, body: ReplacePhotoForm) -> ReplacePhoto204 | Failure:
        if id not in self.shown:
            return MISSED
        self.photos[id] = body.photo.read()
        self.shown[id] = self.shown[id].model_copy(update={"caption": body.caption})
        return ReplacePhoto204()


class Visits:
    """Who comes in: those who watch are told as soon as somebody does."""

    def __init__(self) -> None:
        self.known: list[Visit] = []
        self.more = asyncio.Condition()

    async def watch_visits(self, _call: Exchange, /, *, follow: bool) -> WatchVisits200 | Failure:
        return WatchVisits200(body=self.told(follow=follow))

    async def told(self, *, follow: bool) -> AsyncIterator[Visit]:
        told = 0
        while follow or told < len(self.known):
            async with self.more:
                while told == len(self.known):
                    await self.more.wait()
            yield self.known[told]
            told += 1

    async def count_visits(self, _call: Exchange, /, *, body: list[Visit]) -> CountVisits204 | Failure:
        async with self.more:
            self.known += body
            self.more.notify_all()
        return CountVisits204()


def without_worth(exhibit: Exhibit) -> Exhibit:
    return exhibit.model_copy(update={"worth": MISSING})


def table(exhibits: Sequence[Exhibit]) -> bytes:
    """The exhibits as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows([("title", "room", "made"), *((one.title, one.room, one.made) for one in exhibits)])
    return text.getvalue().encode()


async def staff(call: Exchange, _scopes: Sequence[str], /) -> str | None:
    """Who calls by the key of the staff; None where the request has none."""
    key = credentials_of(call, SCHEMES["staffKey"])
    if key is not None and not compare_digest(key.encode(), STAFF_KEY.encode()):
        raise OwnProblem(401, "This is not the key of the staff.")
    return None if key is None else "the staff"


binding = Binding(
    OPERATIONS,
    Handlers(exhibits=Exhibits(), visits=Visits()),
    json.loads((Path(__file__).parent / "generated" / "openapi.json").read_bytes()),
    Server(),
    authenticators={"staffKey": staff},
    schemes=SCHEMES,
    check_rate=1,
)
app = Application(binding)
