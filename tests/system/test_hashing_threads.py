"""Threads that hash, as Linux schedules them."""

import os

import psutil
import pytest

from security.passwords import Passwords


@pytest.mark.alone
async def test_a_thread_that_hashes_leaves_the_core_to_the_event_loop() -> None:
    before = {thread.id for thread in psutil.Process().threads()}
    passwords = Passwords(rounds=4, threads=1)
    await passwords.warm()

    [made] = {thread.id for thread in psutil.Process().threads()} - before
    assert os.getpriority(os.PRIO_PROCESS, made) > os.getpriority(os.PRIO_PROCESS, 0)
    passwords.close()
