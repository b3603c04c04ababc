"""Where requests are counted when Redis does not answer, and what stays in memory. tests/system has a real Redis."""

from random import Random
from types import SimpleNamespace

import pytest
from limits.aio.storage import memory

from server.rate_limiting import counters, sliding_window
from server.rate_limiting.counters import Counters

UNREACHABLE = "redis://127.0.0.1:1/0"
LIMIT = ("somebody", 3, 60)


@pytest.mark.proves("", "Limits stay in force while Redis is away")
async def test_while_redis_is_away_a_process_counts_alone(still_window: None) -> None:
    fallbacks: list[int] = []
    own = Counters(UNREACHABLE, lambda: fallbacks.append(1))

    passed = [(await own.hit(*LIMIT))[0] for _ in range(5)]

    assert passed == [True, True, True, False, False]
    assert len(fallbacks) == 5
    await own.close()


async def test_redis_is_asked_again_after_a_pause_by_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(counters, "time", SimpleNamespace(monotonic=lambda: clock.now))
    own = Counters(UNREACHABLE, lambda: None)

    for now, failures in ((100.0, 1), (100.9, 1), (101.1, 2), (101.2, 2), (102.3, 3)):
        clock.now = now
        await own.hit(*LIMIT)

        assert own.failures == failures
    await own.close()


async def test_a_process_counts_as_limits_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    for module in (sliding_window, memory):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: clock.now))
    own, theirs = sliding_window.Memory(), memory.MemoryStorage()
    seen = []

    for pause in Random(1).choices([0.0, 0.3, 2.0, 15.0, 130.0], weights=[8, 8, 8, 3, 1], k=2_000):  # noqa: S311 - no secret
        clock.now += pause
        passed, window = own.hit("somebody", 5, 20)

        assert passed == await theirs.acquire_sliding_window_entry("somebody", 5, 20)
        previous, previous_left, current, current_left = await theirs.get_sliding_window("somebody", 20)
        assert (window.previous, window.current) == (previous, current)
        assert window.current_left == pytest.approx(current_left)
        assert window.previous_left == pytest.approx(previous_left) or not previous
        seen.append(passed)

    assert 200 < seen.count(False) < 1_800


def test_counters_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(sliding_window, "time", SimpleNamespace(time=lambda: clock.now))
    own = sliding_window.Memory()
    for number in range(1_000):
        own.hit(f"address {number}", 3, 60)

    clock.now += 121
    for number in range(500):
        own.hit(f"other {number}", 3, 60)

    assert own.counters.keys() == {f"other {number}" for number in range(500)}


async def test_what_one_of_two_counters_refuses_uses_up_nothing_of_the_other(still_window: None) -> None:
    own = Counters(None, lambda: None)

    narrow = [await own.hit_both(("a", 2), ("ab", 3), 60) for _ in range(4)]
    wide = [await own.hit_both(("b", 2), ("ab", 3), 60) for _ in range(3)]

    assert [(one.passed, one.left, other.left) for one, other in narrow] == [
        (True, 1, 2),
        (True, 0, 1),
        (False, 0, 1),
        (False, 0, 1),
    ]
    assert [other.passed for _, other in wide] == [True, False, False]
    assert (await own.hit("b", 2, 60)).passed  # of which one was left
