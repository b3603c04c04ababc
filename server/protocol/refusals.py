"""What a connection answers itself, as whole answers: a page of a front end may read them if it said whose it is."""

from collections.abc import Callable, Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from contract.exchange import group_headers
from contract.types import Problem
from generated.operations import VERSION
from server.observability.telemetry import new_id
from server.protocol.security_headers import SECURITY

REFUSALS = "docket.refusals"
"""Where the state of the application has them, which each connection is given."""
COMMON = "".join(f"{name.lower()}: {value}\r\n" for name, value in (("API-Version", VERSION), *SECURITY)).encode()
RawHeaders = Iterable[tuple[bytes, bytes]]


def tell_no_page(_origin: bytes) -> RawHeaders:
    """There are no front ends."""
    return ()


class Refusals:
    """`cors` gives what a page of an origin is told, `root` is what the proxy before us puts before our paths."""

    def __init__(self, cors: Callable[[bytes], RawHeaders] = tell_no_page, root: str = "") -> None:
        self.cors, self.root = cors, root

    def write_answer(self, problem: Problem, read: list[tuple[bytes, bytes]]) -> bytes:
        """A whole answer. `read` are the headers of the request that were read before it was refused."""
        request_id = new_id()
        body = problem.content(request_id, self.root)
        own = "".join(f"{name.lower()}: {value}\r\n" for name, value in problem.headers)
        rest = f"cache-control: no-store\r\ncontent-type: {problem.media_type}\r\ncontent-length: {len(body)}\r\n"
        head = f"x-request-id: {request_id}\r\n{own}{rest}connection: close\r\n\r\n"
        cors = b"".join(b"%b: %b\r\n" % header for header in self.cors(group_headers(read).get(b"origin", b"")))
        return STATUS_LINE[problem.status] + COMMON + cors + head.encode("latin-1") + body
