"""Finish the list of what the server is made of (CycloneDX), which scripts/lock.sh makes of the locked file.

The files of other projects that are kept in server/assets are added, from the table of their README. What is left out
is in requirements.txt: lines and hashes.
"""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from scripts.pages import ROOT

BOM = ROOT / "sbom.cdx.json"
ASSETS = ROOT / "server" / "assets" / "README.md"
ASSET = re.compile(
    r"^\| `(?P<file>[^`]+)` \| (?P<name>\S+) \| (?P<version>\S+) \| [^|]+ \| `(?P<digest>\w{64})` \|$", re.MULTILINE
)


def main() -> int:
    found: dict[str, Any] = json.load(sys.stdin)
    found["components"] = sorted([*locked_components(found), *vendored_components()], key=lambda each: each["bom-ref"])
    found.pop("dependencies", None)  # the locked file does not say what needs what
    found.get("metadata", {}).pop("tools", None)
    BOM.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def locked_components(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for component in found["components"]:
        kept = {name: component[name] for name in ("name", "purl", "type", "version")}
        yield kept | {"bom-ref": kept["purl"]}


def vendored_components() -> Iterator[dict[str, Any]]:
    """The files of other projects, by their packages."""
    for file, name, version, digest in ASSET.findall(ASSETS.read_text(encoding="utf-8")):
        purl = f"pkg:npm/{name}@{version}"
        hashes = [{"alg": "SHA-256", "content": digest}]
        one = {"type": "library", "name": name, "version": version, "purl": purl, "hashes": hashes}
        yield one | {"bom-ref": f"{purl}#{file}", "description": f"server/assets/{file}"}


if __name__ == "__main__":
    sys.exit(main())
