"""TLS as the proxies of deploy/ speak it: which versions and ciphers they take, and which of them they choose."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from server.middleware.common_headers import TLS_ONLY
from tests.ports import free_port
from tests.system.fleet import PROXY, SIZE, Proxy, caddy, haproxy, nginx
from tests.system.services import program

STRONGEST_FIRST = (  # of those with forward secrecy and authenticated encryption; for a key of ECDSA they are the same
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
OUTDATED = ("-ssl3", "-tls1", "-tls1_1")


def context(version: ssl.TLSVersion, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    """A client that takes all of this version that OpenSSL still knows."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1_2, version
    made.set_ciphers(ciphers)
    return made


@contextmanager
def shake_hands(url: str, client: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A connection whose handshake is done. Raises SSLError, or ConnectionError, when the proxy does not want it."""
    address = (PROXY, httpx.URL(url).port or 0)
    with socket.create_connection(address, timeout=30) as plain, client.wrap_socket(plain) as secured:
        yield secured


def takes(url: str, cipher: str) -> bool:
    """Whether a client that has this one cipher of TLS 1.2 is spoken to."""
    try:
        with shake_hands(url, context(ssl.TLSVersion.TLSv1_2, f"{cipher}:@SECLEVEL=0")) as secured:
            return secured.cipher() is not None
    except (ssl.SSLError, ConnectionError):
        return False


def says(url: str, option: str) -> subprocess.CompletedProcess[str]:
    """What OpenSSL's client says of a handshake by this version only."""
    where = f"{PROXY}:{httpx.URL(url).port}"
    command = [program("openssl"), "s_client", "-connect", where, option, "-cipher", "ALL:@SECLEVEL=0"]
    return subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=60)


@contextmanager
def standing(proxy: Proxy) -> Iterator[str]:
    """The proxy before instances that are not there: who shakes hands needs none."""
    with proxy([free_port() for _ in range(SIZE)]) as url:
        yield url


@pytest.mark.proves("ASVS 5.0 12.1.1", "The proxies speak TLS 1.3, else 1.2, and nothing older")
@pytest.mark.parametrize("proxy", [nginx, haproxy, caddy])
def test_the_newest_version_is_chosen_and_nothing_older_than_1_2_is_spoken(proxy: Proxy) -> None:
    with standing(proxy) as url:
        with shake_hands(url, context(ssl.TLSVersion.TLSv1_3)) as secured:
            assert secured.version() == "TLSv1.3"
        with shake_hands(url, context(ssl.TLSVersion.TLSv1_2)) as secured:
            assert secured.version() == "TLSv1.2"
        assert says(url, "-tls1_2").returncode == 0
        assert [option for option in OUTDATED if says(url, option).returncode == 0] == []


@pytest.mark.proves("ASVS 5.0 12.1.2", "The proxies take ciphers with forward secrecy alone, the strongest first")
@pytest.mark.parametrize("proxy", [nginx, haproxy, caddy])
def test_only_ciphers_with_forward_secrecy_are_taken(proxy: Proxy) -> None:
    known = [cipher["name"] for cipher in context(ssl.TLSVersion.TLSv1_2).get_ciphers()]
    asked = [name for name in known if not name.startswith("TLS_")]  # which are of TLS 1.3, all of them good

    assert {"AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256", *STRONGEST_FIRST} <= set(asked)
    with standing(proxy) as url:
        assert {name.replace("ECDSA", "RSA") for name in asked if takes(url, name)} == set(STRONGEST_FIRST)


@pytest.mark.parametrize("proxy", [nginx, haproxy])
def test_the_strongest_cipher_is_chosen_and_no_ticket_is_given(proxy: Proxy) -> None:
    weakest_first = ":".join(reversed(STRONGEST_FIRST))
    with standing(proxy) as url, shake_hands(url, context(ssl.TLSVersion.TLSv1_2, weakest_first)) as secured:
        assert (secured.cipher() or [""])[0] == STRONGEST_FIRST[0]
        assert secured.session is not None
        assert not secured.session.has_ticket


@pytest.mark.parametrize("proxy", [nginx, haproxy, caddy])
async def test_what_a_proxy_answers_itself_is_for_tls_only_too(proxy: Proxy) -> None:
    [(name, value)] = TLS_ONLY
    with standing(proxy) as url:
        async with httpx.AsyncClient(base_url=url, verify=False, timeout=60) as client:  # noqa: S501 - a certificate of the test
            for method in ("GET", "PUT"):
                answer = await client.request(method, "/api/v1/tasks")
                assert answer.status_code in {502, 503}
                assert answer.headers.get_list(name) == [value]


@pytest.mark.parametrize("proxy", [nginx, haproxy])
def test_so_is_what_it_says_of_no_request(proxy: Proxy) -> None:
    [(name, value)] = TLS_ONLY
    with standing(proxy) as url, shake_hands(url, context(ssl.TLSVersion.TLSv1_3)) as secured:
        secured.sendall(b"rubbish\r\n\r\n")
        assert f"\r\n{name}: {value}\r\n".encode() in secured.recv(4096)
