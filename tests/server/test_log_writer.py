"""Lines are written by a thread: the server never waits."""

import json
import os

from server.observability.log_writer import Lines


def test_what_is_written_comes_out_in_its_order_and_at_the_end_all_of_it() -> None:
    out, into = os.pipe()
    lines = Lines(into)

    for number in range(1000):
        lines.write(f"{number}\n")
    lines.end()
    lines.write("1000\n")
    lines.end()

    os.close(into)
    with os.fdopen(out, encoding="utf-8") as read:
        assert [int(line) for line in read] == list(range(1001))


def test_nobody_waits_for_a_reader_that_is_stuck_and_what_was_dropped_is_told() -> None:
    out, into = os.pipe()
    lines = Lines(into, most=100)

    for _ in range(1000):
        lines.write("x" * 10_000 + "\n")
    assert lines.dropped >= 700

    with os.fdopen(out, encoding="utf-8") as read:
        told = 0
        while told < lines.dropped:
            told += next(json.loads(line)["count"] for line in read if "lines_dropped" in line)
        assert told == lines.dropped
    lines.end()
    os.close(into)


def test_a_text_that_is_no_unicode_and_a_reader_that_is_gone_do_no_harm() -> None:
    out, into = os.pipe()
    os.close(out)
    lines = Lines(into)

    lines.write("\ud800\n")
    lines.end()

    assert (lines.dropped, lines.isatty()) == (1, False)
    os.close(into)
