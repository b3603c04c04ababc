import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any

import bcrypt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passlib.hash import bcrypt_sha256
from typing_extensions import override

from handlers.shared.call import stay
from security.password_strength import PasswordRefused
from security.passwords import ClientLeft, HashingBusy, Passwords, UnreadablePassword, Verdict

PASSPHRASE = "correct horse battery staple"
RIGHT, WRONG, OUTDATED = Verdict(right=True, outdated=False), Verdict(right=False, outdated=False), Verdict(True, True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)
SLOWLY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    cheap = Passwords(rounds=4)
    yield cheap
    cheap.close()


@pytest.fixture
async def slow() -> AsyncIterator[Passwords]:
    one_thread = Passwords(rounds=10, threads=1, waiting=1)
    await one_thread.warm()
    yield one_thread
    one_thread.close()


class Held(list[str]):
    """The names of somebody whose password is being judged until `free` is set. `asked` says that a thread is at it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.free = Event(), Event()

    @override
    def __iter__(self) -> Iterator[str]:
        self.asked.set()
        assert self.free.wait(60)
        return iter(())


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.free.set()


async def judge_password(passwords: Passwords, names: Held) -> None:
    await passwords.check(PASSPHRASE, email="ada@example.com", names=names)


@SLOWLY
@given(TEXT)
async def test_a_hash_is_of_its_password(passwords: Passwords, password: str) -> None:
    hashed = await passwords.hash(password)

    assert await passwords.verify(password, hashed) == RIGHT


@SLOWLY
@given(TEXT, st.integers(0, 127), st.characters(exclude_categories=["Cs", "Cc", "Mn", "Mc", "Zs"], max_codepoint=0x7F))
async def test_a_password_with_another_character_is_wrong(
    passwords: Passwords, password: str, place: int, other: str
) -> None:
    hashed = await passwords.hash(password)

    assert await passwords.verify(password[:place] + other + other + password[place:], hashed) == WRONG


async def test_two_hashes_of_one_password_differ(passwords: Passwords) -> None:
    assert await passwords.hash(PASSPHRASE) != await passwords.hash(PASSPHRASE)


@pytest.mark.proves("ASVS 5.0 6.2.8", "Every character of the longest password counts")
async def test_every_character_of_the_longest_password_counts(passwords: Passwords) -> None:
    longest = "\U0001f40e" * 128
    hashed = await passwords.hash(longest)

    assert await passwords.verify(longest, hashed) == RIGHT
    assert await passwords.verify(longest[:-1] + "\U0001f40f", hashed) == WRONG
    assert await passwords.verify(longest[:-1], hashed) == WRONG


async def test_a_password_that_unicode_makes_eighteen_times_as_long_is_hashed_whole(passwords: Passwords) -> None:
    hashed = await passwords.hash("\ufdfa" * 128)

    assert await passwords.verify("\ufdfa" * 128, hashed) == RIGHT
    assert await passwords.verify("\ufdfa" * 127, hashed) == WRONG


@pytest.mark.parametrize(
    ("one", "other"),
    [("caf\u00e9 noir", "cafe\u0301 noir"), ("\uff43\uff41\uff46\uff45 noir", "cafe noir"), ("\u212b", "\u00c5")],
)
async def test_a_password_is_the_same_from_every_keyboard(passwords: Passwords, one: str, other: str) -> None:
    assert await passwords.verify(one, await passwords.hash(other)) == RIGHT


async def test_case_and_white_space_count(passwords: Passwords) -> None:
    hashed = await passwords.hash(PASSPHRASE)

    assert await passwords.verify(PASSPHRASE.upper(), hashed) == WRONG
    assert await passwords.verify(PASSPHRASE + " ", hashed) == WRONG


async def test_a_password_that_is_no_text_is_refused_without_being_told(passwords: Passwords) -> None:
    broken = "correct \ud800 horse"

    for refusing in (
        passwords.hash(broken),
        passwords.verify(broken, None),
        passwords.check(broken, email="ada@example.com", names=[]),
    ):
        with pytest.raises(UnreadablePassword) as refused:
            await refusing
        assert refused.value.__cause__ is None
        assert "horse" not in str(refused.value)


async def test_nobodys_password_is_never_right(passwords: Passwords) -> None:
    assert await passwords.verify(PASSPHRASE, None) == WRONG
    assert await passwords.verify("", None) == WRONG


async def test_a_hash_of_another_scheme_is_an_error_rather_than_wrong(passwords: Passwords) -> None:
    with pytest.raises(ValueError, match="not a valid bcrypt_sha256 hash"):
        await passwords.verify(PASSPHRASE, "$2b$04$abcdefghijklmnopqrstuu")


async def test_a_hash_is_outdated_once_the_cost_has_risen_and_its_password_is_right(passwords: Passwords) -> None:
    hashed = await passwords.hash(PASSPHRASE)
    dearer = Passwords(rounds=5)

    assert await dearer.verify(PASSPHRASE, hashed) == OUTDATED
    assert await dearer.verify("wrong", hashed) == WRONG
    assert await dearer.verify(PASSPHRASE, await dearer.hash(PASSPHRASE)) == RIGHT
    assert await passwords.verify(PASSPHRASE, await dearer.hash(PASSPHRASE)) == RIGHT
    dearer.close()


@pytest.mark.proves("ASVS 5.0 11.4.2", "Passwords are hashed by bcrypt at cost 12, off the event loop")
async def test_the_default_cost_is_12_and_the_event_loop_runs_on_meanwhile() -> None:
    passwords = Passwords()
    beats = 0

    hashing = asyncio.ensure_future(passwords.hash(PASSPHRASE))
    while not hashing.done():
        await asyncio.sleep(0)
        beats += 1
    verifying = asyncio.ensure_future(passwords.verify(PASSPHRASE, hashing.result()))
    while not verifying.done():
        await asyncio.sleep(0)
        beats += 1

    assert hashing.result().startswith("$bcrypt-sha256$v=2,t=2b,r=12$")
    assert verifying.result() == RIGHT
    assert beats > 100  # one each, if a hash held the loop
    passwords.close()


@pytest.mark.alone
@pytest.mark.proves("ASVS 5.0 6.3.8", "A login without an account costs what a wrong password costs")
async def test_nobodys_password_costs_what_a_wrong_one_costs(slow: Passwords) -> None:
    hashed = await slow.hash(PASSPHRASE)

    async def cost(hashed: str | None) -> float:
        began = time.process_time()
        await slow.verify("wrong", hashed)
        return time.process_time() - began

    costs = [(await cost(hashed), await cost(None)) for _ in range(7)]

    wrong, nobodys = map(min, zip(*costs, strict=True))
    assert nobodys == pytest.approx(wrong, rel=0.25)


@pytest.mark.proves("ASVS 5.0 6.3.8", "Whatever its hash had cost, a password costs what one without an account does")
@pytest.mark.parametrize("password", [PASSPHRASE, "wrong"])
async def test_whatever_its_hash_had_cost_a_password_costs_what_nobodys_does(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    hashes = [bcrypt_sha256.using(rounds=cost).hash(PASSPHRASE) for cost in range(4, 9)]
    passwords = Passwords(rounds=8)
    spent: list[int] = []

    def hashpw(secret: bytes, config: bytes) -> bytes:
        spent.append(2 ** int(config.split(b"$")[2]))
        return bcrypt.hashpw(secret, config)

    await passwords.warm()
    monkeypatch.setattr("passlib.handlers.bcrypt._bcrypt", SimpleNamespace(hashpw=hashpw))
    for hashed in (None, *hashes):
        spent.clear()
        await passwords.verify(password, hashed)
        assert sum(spent) == 2**8
    passwords.close()


@pytest.mark.proves("ASVS 5.0 15.2.2", "A storm of logins is refused at once where the line is full")
async def test_a_full_line_refuses_at_once_and_the_others_are_served(slow: Passwords) -> None:
    ended: list[str] = []

    async def hashing() -> None:
        try:
            await slow.hash(PASSPHRASE)
        except HashingBusy:
            ended.append("busy")
        else:
            ended.append("hashed")

    await asyncio.gather(*[hashing() for _ in range(5)])

    assert ended == ["busy", "busy", "busy", "hashed", "hashed"]
    assert slow.pending == 0
    assert (await slow.verify(PASSPHRASE, await slow.hash(PASSPHRASE))).right


@pytest.mark.parametrize(
    "call",
    [
        lambda passwords: passwords.hash(PASSPHRASE),
        lambda passwords: passwords.verify(PASSPHRASE, None),
        lambda passwords: passwords.check(PASSPHRASE, email="ada@example.com", names=[]),
        lambda passwords: passwords.warm(),
    ],
    ids=["hash", "verify", "check", "warm"],
)
async def test_everything_waits_in_one_line(
    slow: Passwords, held: Held, call: Callable[[Passwords], Awaitable[Any]]
) -> None:
    ahead = [asyncio.ensure_future(judge_password(slow, held)) for _ in range(2)]
    await asyncio.sleep(0)

    assert slow.pending == 2
    with pytest.raises(HashingBusy):
        await call(slow)
    held.free.set()
    await asyncio.gather(*ahead)


async def test_who_goes_away_leaves_the_line(slow: Passwords, held: Held) -> None:
    first, second = asyncio.ensure_future(judge_password(slow, held)), asyncio.ensure_future(slow.hash(PASSPHRASE))
    await asyncio.to_thread(held.asked.wait)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)

    assert slow.pending == 1
    third = asyncio.ensure_future(slow.verify(PASSPHRASE, None))
    await asyncio.sleep(0)
    assert slow.pending == 2
    held.free.set()
    await first
    assert await third == WRONG


async def test_closing_finishes_what_is_under_way_and_cancels_the_rest(held: Held) -> None:
    passwords = Passwords(rounds=4, threads=1)
    first = asyncio.ensure_future(judge_password(passwords, held))
    line = [asyncio.ensure_future(passwords.hash(PASSPHRASE)) for _ in range(2)]
    await asyncio.to_thread(held.asked.wait)

    closing = asyncio.ensure_future(asyncio.to_thread(passwords.close))
    others = await asyncio.gather(*line, return_exceptions=True)

    assert [type(other) for other in others] == [asyncio.CancelledError] * 2
    assert (first.done(), closing.done()) == (False, False)
    held.free.set()
    await asyncio.gather(first, closing)
    assert passwords.pending == 0


async def test_a_weak_password_is_refused_and_a_good_one_accepted(passwords: Passwords) -> None:
    with pytest.raises(PasswordRefused) as refused:
        await passwords.check("\uff53\uff45\uff43\uff55\uff52\uff45123", email="ada@example.com", names=["ada"])
    assert refused.value.code == "password_too_common"

    await passwords.check(PASSPHRASE, email="ada@example.com", names=["ada"])


async def test_composition_rules_can_be_turned_on() -> None:
    strict = Passwords(rounds=4, composition=True)

    with pytest.raises(PasswordRefused, match="lacks an upper-case letter, a digit"):
        await strict.check(PASSPHRASE, email="ada@example.com", names=[])
    strict.close()


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


async def test_owners_who_register_at_once_are_judged_by_their_own_words(hasty_threads: None) -> None:
    passwords = Passwords(rounds=4, threads=4, waiting=200)

    async def is_accepted(name: str) -> bool:
        try:
            await passwords.check("zyqvornxq", email="x@y.example", names=[name])
        except PasswordRefused:
            return False
        return True

    verdicts = await asyncio.gather(*[is_accepted(name) for name in ("Zyqvorn Kuprast", "Somebody Else") * 60])

    assert verdicts == [False, True] * 60
    passwords.close()


def test_the_estimator_is_loaded_with_the_first_password_and_not_at_start() -> None:
    program = (
        "import asyncio, sys\n"
        "from security.passwords import Passwords\n"
        "passwords = Passwords(rounds=4)\n"
        "asyncio.run(passwords.warm())\n"
        "before = 'zxcvbn' in sys.modules\n"
        "asyncio.run(passwords.check('correct horse battery staple', email='ada@example.com', names=[]))\n"
        "print(before, 'zxcvbn' in sys.modules)\n"
    )

    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)

    assert (ran.stdout, ran.stderr) == ("False True\n", "")


@pytest.fixture
async def line() -> AsyncIterator[tuple[Passwords, Held]]:
    """A line of one thread, which is busy with somebody of no network until `free` is set."""
    passwords, held = Passwords(rounds=4, threads=1, waiting=64, each=4), Held()
    task = asyncio.create_task(passwords.check(PASSPHRASE, email="a@example.com", names=held))
    await asyncio.to_thread(held.asked.wait)
    yield passwords, held
    held.free.set()
    await task
    passwords.close()


@pytest.mark.proves("ASVS 5.0 15.2.2", "A network has four places in the line of passwords")
@pytest.mark.parametrize(
    ("addresses", "elsewhere"),
    [
        (["192.0.2.1"] * 5, "192.0.2.2"),
        ([f"2001:db8:0:{n}::1" for n in range(5)], "2001:db8:1::1"),
    ],
    ids=["IPv4", "IPv6"],
)
async def test_a_network_has_four_places_in_the_line(
    line: tuple[Passwords, Held], addresses: list[str], elsewhere: str
) -> None:
    passwords, held = line
    *four, fifth = [passwords.asked_by(address, stay) for address in addresses]
    waiting = [asyncio.create_task(one.hash(PASSPHRASE)) for one in four]
    await asyncio.sleep(0)

    with pytest.raises(HashingBusy):
        await fifth.hash(PASSPHRASE)
    other = asyncio.create_task(passwords.asked_by(elsewhere, stay).hash(PASSPHRASE))
    held.free.set()

    assert len(set(await asyncio.gather(*waiting, other))) == 5
    assert passwords.pending == 0


async def test_a_place_is_given_up_when_its_client_has_gone(line: tuple[Passwords, Held]) -> None:
    passwords, held = line
    gone = asyncio.Event()

    async def leave() -> None:
        await gone.wait()

    leaving = [asyncio.create_task(passwords.asked_by("192.0.2.1", leave).hash(PASSPHRASE)) for _ in range(4)]
    await asyncio.sleep(0)
    gone.set()
    outcomes = await asyncio.gather(*leaving, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClientLeft] * 4
    assert passwords.pending == 1

    again = asyncio.create_task(passwords.asked_by("192.0.2.1", stay).hash(PASSPHRASE))
    held.free.set()
    assert (await again).startswith("$bcrypt-sha256$")
