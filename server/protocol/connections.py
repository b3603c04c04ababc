"""A connection: how long and how large its requests may be, and what is refused before anybody reads it as a request.

llhttp judges the syntax strictly. What is added here is what it leaves to servers (RFC 9112), limits while bytes
arrive, and answers that are problems. Nothing is written out of turn: a bad request behind one that is not answered
yet closes the connection after that answer.
"""

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import Any
from weakref import proxy

import structlog
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from contract.types import Problem
from generated.operations import (
    OPERATIONS,
    HeaderFieldsTooLarge,
    RequestTimeout,
    ServiceUnavailable,
    UriTooLong,
)
from server.errors import Unreadable
from server.protocol.capacity import CAPACITY, Capacity, is_probe
from server.protocol.host_header import is_host
from server.protocol.intake import PIECE, Intake
from server.protocol.refusals import REFUSALS, Refusals

HEAD_SECONDS = 3.0
BODY_SECONDS = 6.0
LAST_SECONDS = 0.5  # that a new connection has for a request when the server ends
LATE_SECONDS = 2.0  # that somebody is listened to who still sends what is answered already
SENDING_SECONDS = 60.0  # in which a reader takes something; the system may only tell of a megabyte
MOST_LATE = 4 * 1024 * 1024  # bytes of what is answered already
LONGEST_TARGET = 8 * 1024
LARGEST_HEADERS = 16 * 1024
LARGEST_HEAD = LONGEST_TARGET + LARGEST_HEADERS + 1024  # with the request line
LARGEST_BODY = max(operation.body.largest for operation in OPERATIONS if operation.body)
LARGEST_FRAMING = 256 * 1024  # what a chunked body may spend on the sizes of its chunks
AUTHORITY_END = re.compile(rb"[/?#]")
SEND_WHOLE = "docket.send_whole"
"""The extension of ASGI by which `Connection.send_whole` is found in the scope of a request."""
log = structlog.get_logger("connections")


class Refused(Exception):  # noqa: N818 - it says what is the case
    """Raised in a callback of the parser, which then stops."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with limits, one of those that the process has the capacity for."""

    capacity: Capacity
    refusals: Refusals
    intake: Intake
    deadline: float | None = None
    timer: asyncio.TimerHandle | None = None
    refusal: Problem | None = None
    is_new = True
    is_spare = in_head = in_body = is_ending = is_deaf = has_hung_up = False
    arrived = latest = head = body = late = unsent = 0
    sending: asyncio.TimerHandle | None = None
    answering: RequestResponseCycle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self.intake = Intake(transport, self.pipeline)
        transport.set_write_buffer_limits(0)  # so that we are told of anything that is not sent at once
        self.capacity = self.app_state.get(CAPACITY) or Capacity()
        self.refusals = self.app_state.get(REFUSALS) or Refusals()
        self.is_spare = not self.capacity.enter(self)
        self.expect(HEAD_SECONDS)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.sending is not None:
            self.sending.cancel()
        self.capacity.leave(self)
        if self.answering is not None:  # uvicorn tells the last request only, which may wait behind this one
            self.answering.disconnected = True
            self.answering.message_event.set()
        super().connection_lost(exc)

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answering = cycle
        super()._start_asgi_task(cycle, app)

    @override
    def data_received(self, data: bytes) -> None:
        if self.pipeline or self.intake.held or len(data) > PIECE:
            self.intake.keep(data)
            self.read_on()
        else:
            self.read(data)

    def read_on(self) -> None:
        """Read what has arrived, until a request has to wait for its turn: what follows it waits as well."""
        while piece := self.intake.next_piece():
            self.read(piece)
        if self.intake.held:
            self.deadline = None

    def read(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.is_deaf:
            self.late += len(data)
            if self.late > MOST_LATE:
                self.transport.close()
            return
        self.arrived += len(data)
        self.latest = len(data)
        super().data_received(data)
        if self.in_head and self.arrived > LARGEST_HEAD:
            self.refuse(self.refusal or HeaderFieldsTooLarge())
        elif self.in_body and self.arrived - self.body > LARGEST_HEAD + LARGEST_FRAMING:
            self.refuse(Unreadable())
        if self.in_head or self.in_body:
            self.capacity.wait_for(self)

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.capacity.wake(self)
        self.in_head, self.arrived, self.head, self.body = True, 0, 0, 0
        if self.is_new:
            self.arrived = self.latest  # of a later request it is not known how much of it came with the one before
        self.expect(HEAD_SECONDS)

    @override
    def on_url(self, url: bytes) -> None:
        if self.refusal is None:
            super().on_url(url)
        if len(self.url) > LONGEST_TARGET:
            self.refusal = UriTooLong()  # once the header section has told which page it is for

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            return  # a trailer is nothing that a handler may take for a header (RFC 9110, 6.5.1)
        if self.refusal is None or name.lower() == b"origin":
            super().on_header(name, value)
        self.head += len(name) + len(value) + 4
        if self.head > LARGEST_HEADERS:
            self.refusal = self.refusal or HeaderFieldsTooLarge()

    @override
    def on_headers_complete(self) -> None:
        if self.refusal is not None:
            raise Refused
        version = self.parser.get_http_version()
        names = [name for name, _ in self.headers]
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        hosts = names.count(b"host")
        if version not in {"1.0", "1.1"} or hosts > 1 or (hosts == 0 and version == "1.1"):
            self.stop(Unreadable())
        if codings and (codings != [b"chunked"] or version == "1.0"):
            self.stop(Unreadable())
        if not self.url.startswith(b"/") and b"://" in self.url:
            self.take_host()
        if self.is_spare and not is_probe(self.url):
            self.stop(full())
        super().on_headers_complete()
        if self.is_ending or self.is_spare:
            self.cycle.keep_alive = False
        send_whole = partial(self.send_whole, proxy(self.cycle))  # for the cycle has the scope, and would wait for gc
        self.scope["extensions"] = {SEND_WHOLE: send_whole}  # type: ignore[dict-item]  # our own
        self.is_new = self.in_head = False
        self.in_body = True
        self.expect(BODY_SECONDS)

    def take_host(self) -> None:
        """Let the target decide which host is asked for, whatever `Host` says (RFC 9112, 3.2.2)."""
        scheme, _, rest = self.url.partition(b"://")
        host = AUTHORITY_END.split(rest, maxsplit=1)[0]
        if scheme.lower() not in {b"http", b"https"} or not host or not is_host(host):
            self.stop(Unreadable())
        tail = rest[len(host) :]
        self.url = tail if tail.startswith(b"/") else b"/" + tail
        self.headers[:] = [(b"host", host), *((name, value) for name, value in self.headers if name != b"host")]

    @override
    def on_body(self, body: bytes) -> None:
        self.body += len(body)
        if self.body > LARGEST_BODY and self.cycle.response_complete:
            self.hang_up()  # it was answered without its body, which is no reason to read on
            raise Refused
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self.in_body = False
        if not self.flow.write_paused:
            self.capacity.go_on(self)
        if self.cycle.response_complete:
            self.rest()
        else:
            self.deadline = None
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        """Go on, as uvicorn does, whose timer for a connection that rests would end with any byte that arrives."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self.has_hung_up:
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.is_deaf:
            self.hang_up()
        elif not (self.in_head or self.in_body):
            self.rest()
        if not self.is_deaf:
            if self.intake.held:
                self.go_on_reading()
            self.flow.resume_reading()

    def go_on_reading(self) -> None:
        """Read what had to wait. What has come of a request has its time from now on."""
        if self.in_head:
            self.expect(HEAD_SECONDS)
        elif self.in_body:
            self.expect(BODY_SECONDS)
        self.read_on()

    def rest(self) -> None:
        """Await another request."""
        self.capacity.rest(self)
        self.expect(self.capacity.seconds_of_rest(self, self.timeout_keep_alive))

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self.capacity.wait_for(self)
        self.unsent = self.transport.get_write_buffer_size()
        self.sending = self.loop.call_later(SENDING_SECONDS, self.look_at_sending)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if not (self.in_head or self.in_body):
            self.capacity.go_on(self)
        if self.sending is not None:
            self.sending.cancel()
            self.sending = None

    def look_at_sending(self) -> None:
        """Give up a reader that takes nothing, which a transport that closes would wait for."""
        before, self.unsent = self.unsent, self.transport.get_write_buffer_size()
        if self.unsent < before:
            self.sending = self.loop.call_later(SENDING_SECONDS, self.look_at_sending)
        else:
            self.transport.abort()

    @property
    def is_answered(self) -> bool:
        """Whether nothing of ours is under way."""
        return self.is_new or self.cycle.response_complete

    def give_way(self) -> None:
        """Close, for another connection needs the place."""
        if self.flow.write_paused:
            self.cut()
        elif self.in_head or self.in_body:
            self.capacity.stand_by(self)
            self.refuse(full())
        else:
            self.transport.close()

    def cut(self) -> None:
        self.transport.abort()

    @override
    def shutdown(self) -> None:
        """Answer what is being read, has arrived or is likely on its way, and close the connection."""
        self.is_ending = True
        if self.is_new and not self.in_head:
            self.expect(LAST_SECONDS)
        else:
            self.loop.call_soon(self.end)  # when what has arrived is read

    def end(self) -> None:
        if not self.in_head:
            super().shutdown()

    @override
    def send_400_response(self, msg: str) -> None:
        if not self.has_hung_up:
            self.refuse(self.refusal or Unreadable())

    @override
    def _unsupported_upgrade_warning(self) -> None:
        """A request to speak something else is answered as it is (RFC 9110, 7.8), which is worth no line."""

    def expect(self, seconds: float) -> None:
        """Give what is awaited so much time. A timer that runs already looks again when it is over."""
        self.deadline = self.loop.time() + seconds
        if self.timer is not None and self.timer.when() > self.deadline:
            self.timer.cancel()
            self.timer = None
        if self.timer is None:
            self.timer = self.loop.call_at(self.deadline, self.look)

    def look(self) -> None:
        self.timer = None
        if self.deadline is None or self.transport.is_closing():
            return
        if self.loop.time() < self.deadline:
            self.timer = self.loop.call_at(self.deadline, self.look)
        elif self.in_head or self.in_body:
            self.refuse(self.refusal or RequestTimeout())
        else:
            self.transport.close()  # nothing was sent at all, or nothing more

    def stop(self, problem: Problem) -> None:
        self.refusal = problem
        raise Refused

    def refuse(self, problem: Problem) -> None:
        """Answer with a problem, if it is its turn, and hang up."""
        current = self.cycle if self.in_body and not self.in_head else None
        unanswered = not self.is_new and not self.cycle.response_complete
        if self.pipeline or (unanswered and current is None):
            if current is None:
                self.cycle.keep_alive = False
            else:
                self.pipeline.popleft()  # it is itself the last one in the queue, and is never whole
            self.is_deaf = True
            self.flow.pause_reading()
            self.deadline = None
            return
        if current is None or not current.response_started:
            read = self.headers if self.in_head or self.in_body else []
            self.transport.write(self.refusals.write_answer(problem, read))
            log.info("refused", code=problem.code, address=self.client[0] if self.client else None)
        if current is not None:
            current.disconnected = True
            current.message_event.set()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection when the other side has, or soon: unread bytes would take the answer from it."""
        self.is_deaf = self.has_hung_up = True
        self.in_head = self.in_body = False
        self.intake.forget()
        self.transport.write_eof()
        self.flow.resume_reading()
        self.expect(LATE_SECONDS)

    async def send_whole(
        self,
        cycle: RequestResponseCycle,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        closing: bool,
    ) -> None:
        """Send an answer in one write, where ASGI's two messages take two and uvicorn looks at each header twice.

        `headers` have names in lower case and the length of the body, if the answer has one. `closing` closes the
        connection afterwards.
        """
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if cycle.disconnected or self.transport.is_closing():
            cycle.disconnected = True  # or uvicorn takes it for a mistake of ours that nothing was answered
            return
        lines = [STATUS_LINE[status], *[b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]]
        cycle.keep_alive = cycle.keep_alive and not closing
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise ValueError("a header has a line break or NUL in it")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.transport.write(b"%b\r\n%b" % (head, body))
        cycle.message_event.set()
        if not cycle.keep_alive:
            if self.in_body:
                self.hang_up()
            else:
                self.transport.close()
        cycle.on_response()


def full() -> Problem:
    return ServiceUnavailable(detail="Too many connections. Try again.", retry_after=1)
