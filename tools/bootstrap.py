"""Run nox on a machine that has nothing but Python with pip and venv.

``python noxfile.py ARGUMENTS`` does, first installing nox into a virtual environment below
``.nox/``. Whoever has nox may call it directly. Without arguments, it has nox run as many sessions
at a time as there are processors.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".nox" / "bootstrap"
REQUIREMENT = "nox>=2026.10.20,<2027"


def main(arguments: list[str]) -> int:
    """Run nox with arguments; return its exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036  # the one file that older versions may run
        print("Python 3.11 or later is needed, this is", sys.version.split()[0], file=sys.stderr)
        return 2
    python = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin") / "python"
    complete = ENVIRONMENT / "complete"
    if not complete.exists():
        print(f"Installing nox into {ENVIRONMENT.relative_to(ROOT)} ...", flush=True)
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", REQUIREMENT], check=True)
        complete.touch()
    arguments = arguments or ["--parallel", "auto"]
    nox = [str(python), "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), *arguments]
    with subprocess.Popen(nox) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # Ctrl-C interrupts nox, too, which ends its sessions.
                continue
