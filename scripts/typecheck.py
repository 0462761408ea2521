#!/usr/bin/env python3
"""Type-checks the tree as it is installed, with sim/ and fpga/ inside the one package.

The checker looks at a folder of links under .venv, for no setting of its own can put a folder into a
package. Amaranth, whose members come to be at run time, is opaque to it: hardware is checked by
simulation, and all the Python around it by types.
"""

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VIEW = ROOT / ".venv" / "typing"
PACKAGES = {"amaranth", "amaranth_boards"}
#: Folder of the tree → where it is seen.
PARTS = {"sat_hdl": "sat_hdl", "sim": "sat_hdl/sim", "fpga": "sat_hdl/fpga", "scripts": "scripts"}
SETTINGS = {
    "typeCheckingMode": "standard",
    "include": ["sat_hdl", "scripts"],
    "exclude": [],
    "venvPath": "../..",
    "venv": ".venv",
    # Amaranth's own idiom for a component's members is `a: In(1)`.
    "reportInvalidTypeForm": "none",
}
#: What the checker sees of an opaque module, and of the one that is not.
OPAQUE = "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n"
ENUM = """import enum
from typing import Any
class Enum(enum.Enum):
    def __init_subclass__(cls, *, shape: Any = None, view_class: Any = None) -> None: ...
"""


def view() -> None:
    """Makes the folder of links anew."""
    shutil.rmtree(VIEW, ignore_errors=True)
    # Links to files, for the checker doesn't follow links to folders.
    for here, there in PARTS.items():
        for path in (ROOT / here).rglob("*.py"):
            link = VIEW / there / path.relative_to(ROOT / here)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    (VIEW / "pyrightconfig.json").write_text(json.dumps(SETTINGS))
    for module in used_modules():
        stub = VIEW.joinpath(*module.split("."))
        stub.mkdir(parents=True, exist_ok=True)
        for folder in (stub, *stub.parents):
            if folder == VIEW:
                break
            (folder / "__init__.pyi").write_text(
                ENUM if module == "amaranth.lib.enum" and folder == stub else OPAQUE
            )


def used_modules() -> set[str]:
    """Every module of the opaque packages that the tree imports."""
    names = "|".join(PACKAGES)
    pattern = re.compile(rf"^\s*(?:from|import) ((?:{names})(?:\.\w+)*)(?: import (.*))?$", re.M)
    modules = set()
    for folder in PARTS:
        for path in (ROOT / folder).rglob("*.py"):
            for module, members in pattern.findall(path.read_text()):
                inner = (f"{module}.{name}" for name in re.findall(r"\w+", members))
                modules |= {module, *filter(is_module, inner)}
    return modules


def is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False  # what it lies in is no package


def main() -> int:
    view()
    tool = Path(sys.executable).with_name("basedpyright")
    done = subprocess.run([tool, "-p", VIEW], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        text = done.stdout
        for here, there in sorted(PARTS.items(), key=lambda part: -len(part[1])):
            text = text.replace(f"{VIEW / there}/", f"{here}/")
        print(text, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
