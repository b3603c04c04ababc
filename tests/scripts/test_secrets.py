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
