"""Where we connect to on behalf of others: public addresses, however what is within is written."""

import socket
from ipaddress import ip_network

import pytest

from security.outbound_addresses import (
    Forbidden,
    OutboundRules,
    Target,
    Unresolved,
    is_allowed,
    judge_url,
    parse_url,
    resolve,
)

RULES = OutboundRules()
IN_DEVELOPMENT = OutboundRules(is_development=True)
WITHIN = [
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "0.0.0.0",  # noqa: S104 - to be refused
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::8.8.8.8]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:0808:0808:0:0:f5ff:fffe]",  # a Teredo client at 10.0.0.1
    "[2001:0:7f00:1:0:0:f7f7:f7f7]",  # and a server at 127.0.0.1
    "[2001:db8::1]",
    "[fc00::1]",
    "[fec0::1]",
    "[fe80::1]",
    "[ff02::1]",
    "localhost",
    "localhost.",
]
PUBLIC = ["8.8.8.8", "[2606:4700::1111]", "[::ffff:8.8.8.8]", "[64:ff9b::808:808]", "[2002:808:808::1]"]


@pytest.mark.parametrize("host", WITHIN)
async def test_what_is_within_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises((Forbidden, Unresolved)):
        await resolve(parse_url(f"https://{host}/hook", RULES), RULES)


@pytest.mark.parametrize("host", PUBLIC)
async def test_what_is_public_is_allowed(host: str) -> None:
    target = parse_url(f"https://{host}/hook", RULES)

    assert await resolve(target, RULES) == [target.host]


def test_a_link_address_is_refused() -> None:
    assert not is_allowed("fe80::1%lo", Target("https", "rebound.example.com", 443, "/"), RULES)


async def test_one_address_within_forbids_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell(_host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", tell)  # as a name server that is another's
    with pytest.raises(Forbidden, match="not public"):
        await resolve(parse_url("https://rebound.example.com", RULES), RULES)


async def test_an_unknown_host_is_told_apart() -> None:
    with pytest.raises(Unresolved):
        await resolve(parse_url("https://nowhere.invalid", RULES), RULES)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com", "https://"),
        ("ftp://example.com", "https URL"),
        ("//example.com", "https URL"),
        ("https:example.com", "https URL"),
        ("https://", "no host"),
        ("https://.", "no host"),
        ("https://ada@example.com", "user name"),
        ("https://ada:word@example.com", "user name"),
        ("https://example.com\\@127.0.0.1", "user name"),
        ("https://example.com#top", "fragment"),
        ("https://example.com/a b", "ASCII"),
        ("https://example.com/\r\nX-Evil:1", "ASCII"),
        ("https://example.com/\n", "ASCII"),
        ("https://bücher.example", "ASCII"),
        ("https://example.com/ü", "ASCII"),
        ("https://example.com%2e", "ASCII"),
        ("http\u017f://example.com:22/x", "ASCII"),
        ("https://\u017f.example", "ASCII"),
        ("https://example\u212a.com", "ASCII"),
        ("https://example.com/\u0131", "ASCII"),
        ("https://[fe80::1%25eth0]", "ASCII"),
        ("https://example.com:22", "port 22"),
        ("https://example.com:0", "port"),
        ("https://example.com:99999", "port"),
        ("https://example.com:4a", "port"),
    ],
)
def test_other_urls_are_refused_with_the_reason(url: str, why: str) -> None:
    assert why in (judge_url(url, RULES) or "")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://Example.com", Target("https", "example.com", 443, "/")),
        ("https://example.com.:443/a?b=%20", Target("https", "example.com", 443, "/a?b=%20")),
        ("https://example.com:8443?b", Target("https", "example.com", 8443, "/?b")),
        ("HTTPS://[2606:4700::1111]:/a", Target("https", "2606:4700::1111", 443, "/a")),
    ],
)
def test_a_url_in_parts(url: str, target: Target) -> None:
    rules = OutboundRules(frozenset({8443}))

    assert judge_url(url, rules) is None
    assert parse_url(url, rules) == target


async def test_this_machine_is_called_in_development_alone() -> None:
    target = parse_url("http://127.0.0.1:3000/hook", IN_DEVELOPMENT)

    assert await resolve(target, IN_DEVELOPMENT) == ["127.0.0.1"]
    assert await resolve(parse_url("https://127.0.0.1", IN_DEVELOPMENT), IN_DEVELOPMENT) == ["127.0.0.1"]
    with pytest.raises(Forbidden):
        await resolve(parse_url("http://8.8.8.8", IN_DEVELOPMENT), IN_DEVELOPMENT)
    with pytest.raises(Forbidden):
        await resolve(target, RULES)


async def test_operators_allow_networks() -> None:
    rules = OutboundRules(networks=frozenset({ip_network("10.1.0.0/16")}))

    assert await resolve(parse_url("https://10.1.2.3", rules), rules) == ["10.1.2.3"]
    assert await resolve(parse_url("https://[::ffff:10.1.2.3]", rules), rules) == ["::ffff:10.1.2.3"]
    with pytest.raises(Forbidden):
        await resolve(parse_url("https://10.2.0.1", rules), rules)
