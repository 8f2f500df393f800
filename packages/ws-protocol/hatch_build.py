"""Build wheels that have the compiled form of the kernel, if told to.

The environment variable ``WS_PROTOCOL_BUILD`` says which form a wheel gets: ``pure``, which is the
default and needs no compiler, or ``compiled``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "src/ws_protocol/_compiled.c"


class KernelBuildHook(BuildHookInterface):
    """Compile the kernel."""

    def dependencies(self) -> list[str]:
        """Return what is needed besides hatchling: what knows compilers."""
        return ["setuptools>=68"] if is_compiled() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before a wheel is put together."""
        if not is_compiled():
            return
        self._directory = tempfile.TemporaryDirectory()
        module = compile_kernel(Path(self.root), Path(self._directory.name))
        if version == "editable":
            shutil.copy(module, Path(self.root, "src", "ws_protocol"))
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"][str(module)] = f"ws_protocol/{module.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled, which the wheel has now."""
        if is_compiled():
            self._directory.cleanup()


def is_compiled() -> bool:
    """Tell whether to compile.

    Raises:
        ValueError: The environment variable has another value than the two.

    """
    form = os.environ.get("WS_PROTOCOL_BUILD") or "pure"
    if form not in ("pure", "compiled"):
        raise ValueError(
            f"environment variable WS_PROTOCOL_BUILD must be pure or compiled, got {form!r}"
        )
    return form == "compiled"


def compile_kernel(root: Path, directory: Path) -> Path:
    """Compile the kernel for the Python that runs this.

    Args:
        root: Directory of the distribution.
        directory: Where to put what is made.

    Returns:
        Path of the extension module.

    """
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    # Masking is as fast as it is because compilers make vector instructions of it, with this.
    options = [] if os.name == "nt" else ["-O3"]
    extension = Extension("_compiled", [str(root / SOURCE)], extra_compile_args=options)
    command = build_ext(Distribution({"ext_modules": [extension]}))
    command.build_lib = command.build_temp = str(directory)
    command.ensure_finalized()
    command.run()
    (module,) = command.get_outputs()
    return Path(module)
