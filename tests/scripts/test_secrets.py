"""The secrets that compose.yaml wants are whole or not there."""

import os
import subprocess
from pathlib import Path

from tests.conftest import ROOT


def test_a_run_that_cannot_make_a_secret_leaves_none(tmp_path: Path) -> None:
    broken = tmp_path / "openssl"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    found = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run([ROOT / "scripts/secrets.sh"], cwd=tmp_path, env=found, check=False)
    assert ended.returncode != 0
    assert not (tmp_path / "secrets" / "secret_key").exists()


def test_a_second_run_changes_nothing_and_redis_has_the_password_of_its_url(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        subprocess.run([ROOT / "scripts/secrets.sh"], cwd=tmp_path, check=True)
        made.append({file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "secrets").iterdir()})

    assert made[0] == made[1]
    [word, password] = made[0]["redis_conf"].split()
    assert (word, made[0]["redis_url"]) == ("requirepass", f"redis://:{password}@redis:6379/0")
