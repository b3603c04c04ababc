"""How long the verification of an access token takes: one seen for the first time, and one that is known."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from uuid import uuid4

from benchmarks.contestants import SECRET
from security.keys import Keys
from security.tokens import Tokens
from server.app import AUDIENCE, ISSUER

COUNT = 2000


def main() -> None:
    tokens = Tokens(Keys(SECRET), ISSUER, AUDIENCE, timedelta(minutes=15))
    now = datetime.now(UTC)
    issued = [tokens.issue_access(uuid4(), uuid4(), now) for _ in range(COUNT)]
    for what in ("seen for the first time", "known"):
        taken = _verify(tokens, issued, now)
        cuts = quantiles(taken, n=100)
        print(f"a token that is {what}: p50 {cuts[49]:.1f}, p99 {cuts[98]:.1f}, most {max(taken):.1f} µs, of {COUNT}")


def _verify(tokens: Tokens, issued: Sequence[str], now: datetime) -> list[float]:
    """µs that each took."""
    taken = []
    for token in issued:
        began = time.perf_counter()
        tokens.verify_access(token, now)
        taken.append((time.perf_counter() - began) * 1e6)
    return taken


if __name__ == "__main__":
    main()
