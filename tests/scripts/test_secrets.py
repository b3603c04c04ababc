"""The secrets that compose.yaml wants are whole or not there."""

import subprocess
from pathlib import Path

SCRIPT = Path("scripts/secrets.sh").resolve()


def test_a_run_that_cannot_make_a_secret_leaves_none(tmp_path: Path) -> None:
    broken = tmp_path / "openssl"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    command = f"PATH={tmp_path}:$PATH exec bash {SCRIPT}"
    ended = subprocess.run(["bash", "-c", command], cwd=tmp_path, check=False)
    assert ended.returncode != 0
    assert not (tmp_path / "secrets" / "secret_key").exists()
