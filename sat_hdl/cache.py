"""Where built things are kept: one folder a kind, each entry named by the digest of all that made it."""

import hashlib
import os
from pathlib import Path

__all__ = ["cache_dir", "digest"]


def cache_dir(kind: str) -> Path:
    """The folder for ``kind`` ("synth", "place"), created if needed.

    It lies under ``$SAT_HDL_CACHE``, else ``$XDG_CACHE_HOME/sat_hdl``, else ``~/.cache/sat_hdl``.
    Anything in it can be deleted at any time.
    """
    root = os.environ.get("SAT_HDL_CACHE")
    if not root:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sat_hdl"
    path = Path(root) / kind
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts: str | bytes) -> str:
    """SHA-256 over ``parts``, each with its length so that no two lists collide."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()[:32]
