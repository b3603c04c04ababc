"""Lists in settings: the origins of front ends, the hosts that are answered for, the networks of proxies."""

import json
import re
from ipaddress import IPv4Network, IPv6Network, ip_network

HEADER = re.compile(r"[a-z0-9!#$%&'+.^_`|~-]+")
ROOT = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?|/?")
ORIGIN = re.compile(r"(https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\]))(:[0-9]{1,5})?/?")
SITE = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*/?")
UNSAID = ("https", ":443"), ("http", ":80")  # a browser does not write the port that goes without saying
HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]+")


def origins_of(text: str) -> frozenset[str]:
    """Origins as browsers write them."""
    named = parse_list(text, "https://app.example.com")
    if "*" in named:
        raise ValueError("is no list of origins: `*` would let every page act for its reader; name your front ends")
    found = [ORIGIN.fullmatch(origin) for origin in named]
    if None in found:
        raise ValueError("is no list of origins: write https://app.example.com, without a path")
    return frozenset(as_written(origin) for origin in found if origin)


def headers_of(text: str) -> frozenset[str]:
    """Names of headers, in lower case."""
    named = parse_list(text, "X-Trace")
    if not all(HEADER.fullmatch(name) for name in named):
        raise ValueError("is no list of names of headers: write X-Trace; `*` would not count with credentials")
    return frozenset(named)


def root_of(text: str) -> str:
    """The beginning of a path, without a slash at its end."""
    if not ROOT.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ValueError("is no beginning of a path: write /docket, of letters, digits, `.`, `_`, `~` and `-`")
    return text.rstrip("/")


def address_of(text: str) -> str:
    """The address of a site, without a slash at its end."""
    if not SITE.fullmatch(text):
        raise ValueError("is no address of a site: write https://app.example.com, without `?` and `#`")
    return text.rstrip("/")


def as_written(origin: re.Match[str]) -> str:
    """The origin as browsers send it (RFC 6454, 6.2)."""
    host, port = origin[1], origin[2] or ""
    return host if (host.partition(":")[0], port) in UNSAID else host + port


def hosts_of(text: str) -> frozenset[str]:
    """Names of hosts, without ports."""
    named = parse_list(text, "api.example.com")
    if not all(HOST.fullmatch(host) for host in named):
        raise ValueError("is no list of hosts: write api.example.com or *.example.com, without a port")
    return frozenset(named)


def networks_of(text: str) -> frozenset[IPv4Network | IPv6Network]:
    """Networks, or single addresses."""
    try:
        return frozenset(ip_network(network) for network in parse_list(text, "10.0.0.0/8"))
    except ValueError:
        raise ValueError("is no list of addresses or networks: write 10.0.0.0/8, with no bits beyond it") from None


def parse_list(text: str, example: str) -> list[str]:
    """What a JSON array names, or a list with commas."""
    try:
        given = json.loads(text) if text.strip().startswith("[") else text.split(",")
    except ValueError:
        raise ValueError(f'is no JSON array: write ["{example}"]') from None
    named = [str(item).strip().lower() for item in given]
    return [item for item in named if item]
