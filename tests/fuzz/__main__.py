"""Fuzz a server of its own with an empty database: `python -m tests.fuzz [--plain] [options of schemathesis run]`.

`--plain` has schemathesis know a token and the served document, and nothing of ours.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import httpx

from tests.fuzz import statuses
from tests.fuzz.people import METRICS_TOKEN, SUPERUSER, Account
from tests.ports import free_port
from tests.statuses import declared_statuses

SETTINGS = {
    "ENVIRONMENT": "staging",  # which reads no .env, where a database may be named
    "PORT": "0",
    "RATE_LIMITS_ENABLED": "false",
    "QUOTA_ORGANIZATIONS": "1000000",
    "RESPONSE_CHECK_RATE": "1",
    "METRICS_TOKEN": METRICS_TOKEN,
    "FIRST_SUPERUSER_EMAIL": SUPERUSER.email,
    "FIRST_SUPERUSER_PASSWORD": SUPERUSER.password,
}
PARTS = (
    ["--phases=examples,coverage,fuzzing"],
    ["--phases=stateful", "--max-time=60"],  # repeated for so long, since by chance it ends soon
)
MAIL = PARTS[0]  # of what answers 202 where the server has mail
BY_MAIL = "verifyEmail"  # needs what was mailed
EVERY_ANSWER = (  # passes these, whatever the data
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
ENDLESS = "streamChanges"  # schemathesis would wait for the end of the answer
WITHOUT_ENDLESS = f"--exclude-operation-id={ENDLESS}"
STRAY = (f"--checks={','.join(EVERY_ANSWER)}", "--max-examples=5", "--max-time=60", "--seed=1")
PLAIN = ("--max-examples=30", "--max-time=420", "--seed=1")
DEBATED = {
    "negative_data_rejection",
    "positive_data_acceptance",
}  # docs/verification.md says why answers are as they are
READY = "Docket answers at "
PATIENCE = 60  # seconds for the server to start, and to end
LAST = 20  # lines of its log that are shown when something is wrong


def main(options: Sequence[str]) -> int:
    """Fuzz, say what was seen and what is wrong. What comes back is the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that the server ends too
    folder = Path(tempfile.mkdtemp(prefix="docket-fuzz-"))
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    look = look_plainly if "--plain" in options else look_closely
    try:
        with serve(folder / "plain", SETTINGS) as url:
            wrong = look(url, folder, [option for option in options if option != "--plain"])
        lines = [line for log in sorted(folder.glob("*/log")) for line in log.read_text(encoding="utf-8").splitlines()]
        wrong += errors(lines)
        if wrong:
            say("The end of the server's log:", *lines[-LAST:], *(f"fuzz: {one}" for one in wrong))
        return int(bool(wrong))
    finally:
        shutil.rmtree(folder)


def look_closely(url: str, folder: Path, options: Sequence[str]) -> list[str]:
    """What is wrong by all that we know of the server."""
    runs = {folder / f"{number}.ndjson": part for number, part in enumerate(parts(options))}
    status = max([fuzz(url, report, part) for report, part in runs.items()])
    if not is_partial(options):
        runs[folder / "mail.ndjson"] = [*MAIL, *options]
        status = max(status, fuzz_mail(folder, folder / "mail.ndjson", options))
    wrong = missing(runs, options)
    if not options:
        runs[folder / "stray.ndjson"] = [*STRAY]
        status = max(status, stray(url, folder, [*STRAY, f"--report-ndjson-path={folder / 'stray.ndjson'}"]))
    if status:
        wrong.append("schemathesis found what is above, and of that")
        wrong += [finding for report in runs if report.exists() for finding in statuses.findings(report)]
    return wrong


def look_plainly(url: str, folder: Path, options: Sequence[str]) -> list[str]:
    """What is wrong by the document alone, but for what can be debated."""
    report = folder / "plain.ndjson"
    stray(url, folder, [*PLAIN, *options, f"--report-ndjson-path={report}"])
    failed = statuses.count_failures(report)
    say(*(f"{name} failed {times} times" for name, times in sorted(failed.items())))
    return [f"{name} failed" for name in sorted(failed.keys() - DEBATED)]


def parts(options: Sequence[str]) -> list[list[str]]:
    """The options of each run of schemathesis: one, if the phases are among them."""
    if any(option.startswith("--phases") for option in options):
        return [[*options]]
    return [[*part, *options] for part in PARTS]


def fuzz(url: str, report: Path, options: Sequence[str], **told: str) -> int:
    """Run schemathesis. What comes back is its exit status."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.yaml", "--url", url]
    command += [f"--report-ndjson-path={report}", WITHOUT_ENDLESS, *options]
    return subprocess.run(command, env={**os.environ, **told}, check=False).returncode


def fuzz_mail(folder: Path, report: Path, options: Sequence[str]) -> int:
    """Fuzz what answers otherwise where the server has mail; the exit status comes back."""
    port = str(free_port())
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "PUBLIC_URL": "https://app.fuzz.example"}
    operations = [name for name, answers in declared_statuses().items() if "202" in answers]
    included = [f"--include-operation-id={name}" for name in (*operations, BY_MAIL)]
    with serve(folder / "mail", {**SETTINGS, **mail}) as url:
        return fuzz(url, report, [*MAIL, *included, *options], FUZZ_MAIL_PORT=port)


def is_partial(options: Sequence[str]) -> bool:
    """Whether they have but a part fuzzed."""
    return any(option.startswith(("--include-", "--exclude-", "--phases")) for option in options)


def stray(url: str, folder: Path, options: Sequence[str]) -> int:
    """Run schemathesis with a token and the served document, and nothing of ours; its exit status comes back."""
    with httpx.Client(base_url=url, timeout=30) as http:
        stranger = Account()
        stranger.sign_in(http)
    outside = folder / "outside"  # where no schemathesis.toml is near
    outside.mkdir()
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{url}/openapi.yaml",
        "--continue-on-failure",
        WITHOUT_ENDLESS,
        *options,
    ]
    return subprocess.run(
        [*command, "--header", f"Authorization: Bearer {stranger.token}"], cwd=outside, check=False
    ).returncode


@contextmanager
def serve(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """The URL of a server, which ends afterwards, with a database and its log in the folder."""
    folder.mkdir()
    folder.chmod(0o755)  # for the account that runs PostgreSQL for root
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "server", "serve"],
            env={"PATH": os.environ["PATH"], **settings, "SECRET_KEY": token_hex(), "DATA_DIR": str(folder / "data")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield address(server, log)
    finally:
        server.terminate()
        try:
            server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            raise


def address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server answers, as soon as it does."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        _, ready, rest = log.read_text(encoding="utf-8").partition(READY)
        if ready and ";" in rest:
            return rest.partition(";")[0]
        time.sleep(0.05)
    raise SystemExit(f"fuzz: the server does not start:\n{log.read_text(encoding='utf-8')}")


def missing(reports: Iterable[Path], options: Sequence[str]) -> list[str]:
    """Say what was answered. What comes back are the successes that were not, unless only a part was asked for."""
    seen = sum(map(statuses.count_seen, reports), statuses.Seen())
    say(statuses.table(seen))
    if is_partial(options):
        return []
    return [f"{name} {status} was never answered" for name, status in statuses.without_success(seen) if name != ENDLESS]


def errors(lines: Sequence[str]) -> list[str]:
    """What the server logged as an error, and its answers 500."""
    events = [json.loads(line) for line in lines if line.startswith("{")]
    wrong = [event for event in events if event["level"] == "error" or event.get("status") == 500]
    return [f"the server logged {len(wrong)} errors, the first of them {wrong[0]}"] if wrong else []


def say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)  # noqa: T201 - what the program is for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
