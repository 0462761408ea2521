#!/usr/bin/env python3
"""Makes `.venv` with everything that the project needs, and does nothing where that is already done.

The state of `.venv` is keyed on content: the digest of pyproject.toml, constraints.txt, this file, the
interpreter and the place. It runs on the machine's own Python, with nothing but the standard library, and
must parse on old versions, so that they can be told apart with a sentence.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "installed")
PYTHON = os.path.join(VENV, "bin", "python")
#: Program → the Debian package that has it.
PROGRAMS = {"g++": "g++", "make": "make", "perl": "perl"}


def fail(sentence):
    sys.exit("setup: " + sentence)


def say(text):
    print("setup: " + text, flush=True)


def check_machine():
    """Ends with one sentence that names everything missing on this machine."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one must be told so
        found = "{}.{}".format(*sys.version_info[:2])
        fail(
            f"Python 3.11 or newer is needed, but {sys.executable} is {found}: install one and name it, "
            "as in `make setup PYTHON=python3.11`."
        )
    missing = {package: name for name, package in PROGRAMS.items() if shutil.which(name) is None}
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        missing["python3-venv"] = "Python's venv module"
    if missing:
        fail(
            "{} missing on this machine: install (Debian: `apt install {}`) and try again.".format(
                " and ".join(missing.values()) + (" is" if len(missing) == 1 else " are"), " ".join(missing)
            )
        )


def wanted_state():
    """One line that changes with whatever `.venv` is made from."""
    state = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", os.path.join("scripts", "setup.py")):
        with open(os.path.join(ROOT, name), "rb") as file:
            state.update(file.read())
    state.update(repr((sys.version, os.path.realpath(sys.executable), ROOT)).encode())
    return state.hexdigest()


def present_state():
    try:
        with open(STAMP) as file:
            return file.read().strip()
    except OSError:
        return None


def run(command, what):
    """Runs a step, showing of pip's output only what is being fetched."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            words = line.split()
            if words and words[0] in ("Collecting", "Installing", "Preparing"):
                print("  " + line.strip()[:100], flush=True)
    if process.returncode:
        sys.stdout.write("".join(lines[-20:]))
        if any("No space left on device" in line for line in lines):
            fail("the disk is full: free some space and try again.")
        fail(f"{what} failed (see above); with a working network, try again.")


def install():
    # A Python environment can't be moved, nor change its interpreter: then it is made anew.
    config = os.path.join(VENV, "pyvenv.cfg")
    works = os.path.exists(config) and subprocess.call([PYTHON, "-c", ""], stderr=subprocess.DEVNULL) == 0
    if not works or moved(config):
        say("1/4 creating .venv")
        run([sys.executable, "-m", "venv", "--clear", VENV], "creating .venv")
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    pip += ["--constraint", "constraints.txt"]
    say("2/4 installing the pinned packages (some 700 MB on disk)")
    run([*pip, "setuptools>=77"], "installing setuptools")
    run([*pip, "--no-build-isolation", "--editable", ".[test,dev]"], "installing the packages")
    say("3/4 compiling the FPGA tools once (about 40 s)")
    tools = "from sat_hdl.fpga.toolchain import TOOLS, warm; [warm(name) for name in TOOLS]"
    run([PYTHON, "-c", tools], "compiling the FPGA tools")
    say("4/4 checking")
    run([os.path.join(VENV, "bin", "sat-hdl"), "--help"], "starting sat-hdl")


def moved(config):
    """Whether ``.venv`` was made elsewhere or by another Python; ``config`` is its pyvenv.cfg."""
    with open(config) as file:
        values = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in file)}
    made_as = values.get("command", "").split(" -m venv ")[-1].replace("--clear ", "")
    return os.path.abspath(made_as) != VENV or values.get("version") != sys.version.split()[0]


def main():
    check_machine()
    wanted = wanted_state()
    if present_state() == wanted:
        return
    start = time.monotonic()
    install()
    with open(STAMP, "w") as file:
        file.write(wanted)
    say(f"done in {time.monotonic() - start:.0f} s; the command is .venv/bin/sat-hdl")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        fail(f"{error}.")
