"""The addresses that a server takes, when somebody is heard there, and what it tells its operator of them."""

import os
import re
import socket

import psutil
import pytest

from server.complaints import CommandError
from server.workers.listeners import UNKNOWN, bind_listeners, holder, urls


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", r"http://127\.0\.0\.1:\d+"), ("::1", r"http://\[::1\]:\d+")]
)
def test_an_address_is_one_of_a_url_and_not_listened_at_yet(host: str, address: str) -> None:
    [listener] = bind_listeners(host, 0)
    with listener:
        [url] = urls([listener])
        assert re.fullmatch(address, url)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname()[:2], timeout=5)
        listener.listen()
        socket.create_connection(listener.getsockname()[:2], timeout=5).close()


def test_every_address_is_that_of_both_families_on_one_port() -> None:
    six, four = bind_listeners("::", 0)
    with six, four:
        port = six.getsockname()[1]
        assert urls([six, four]) == [f"http://[::]:{port}", f"http://0.0.0.0:{port}"]
        for listener in (six, four):
            listener.listen()
        for address in ("::1", "127.0.0.1"):
            socket.create_connection((address, port), timeout=5).close()


def test_a_name_has_the_addresses_that_this_machine_has_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking, here = ("192.0.2.1", 0), ("127.0.0.1", 0)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (lacking, here, here)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    [listener] = bind_listeners("here", 0)
    with listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_names_its_holder() -> None:
    [taken] = bind_listeners("127.0.0.1", 0)
    with taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError) as refused:
            bind_listeners("127.0.0.1", port)

    myself = f"{psutil.Process().name()} (pid {os.getpid()})"
    assert str(refused.value) == (f"Port {port} is taken by {myself}: stop that, or choose another with PORT=...")


def test_every_address_is_not_ours_where_that_of_one_family_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CommandError, match="is taken by"):
        bind_listeners("::", taken.getsockname()[1])


def test_a_holder_that_cannot_be_seen_has_no_name() -> None:
    with socket.socket() as ours:  # which has the port, so that no other program listens there, and does not listen
        ours.bind(("127.0.0.1", 0))

        assert holder(ours.getsockname()[1]) == UNKNOWN


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "a" * 64])
def test_a_host_that_is_no_address_is_named(host: str) -> None:
    with pytest.raises(CommandError, match=f"^HOST: {re.escape(host)} is no address of this machine$"):
        bind_listeners(host, 0)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(CommandError, match=r"^Cannot listen on 192\.0\.2\.1:8000: Cannot assign requested address$"):
        bind_listeners("192.0.2.1", 8000)
