"""Write anew what the golden contract is expected to become. Read the difference before you commit it.

.venv/bin/python -m tests.contract.generator.golden
"""

import tempfile
from pathlib import Path

from contract.generator.__main__ import generate

GOLDEN = Path(__file__).parent
FILES = ("models.py", "operations.py")  # kept as .txt: they belong to no package that a tool should look at


def expected(name: str) -> Path:
    return GOLDEN / f"{name}.txt"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        generate(GOLDEN / "openapi.yaml", Path(folder))
        for file in FILES:
            expected(file).write_bytes((Path(folder) / file).read_bytes())
