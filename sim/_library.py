"""The compiled harness as ctypes sees it; the structures mirror those of harness.cpp."""

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path

__all__ = ["DONE", "IDLE", "LIMIT", "STOPPED", "VIOLATIONS", "Port", "Run", "Stream", "Vector", "load"]

#: What sim_run returns.
DONE, LIMIT, IDLE, DROPPED, CHANGED, SURPLUS, STOPPED = range(7)
VIOLATIONS = {
    DROPPED: "withdrew `valid` before the beat was accepted",
    CHANGED: "changed its payload before the beat was accepted",
    SURPLUS: "offered one more beat than expected",
}


class Port(ctypes.Structure):
    _fields_ = (
        ("name", c_char_p),
        ("width", c_uint32),
        ("is_input", c_uint32),
        ("data", c_void_p),
        ("bytes", c_uint32),
    )


class Stream(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        ("count", c_uint64),
        ("done", c_uint64),
        ("first", c_int64),
        ("last", c_int64),
        ("waited", c_uint64),
        ("random", c_uint64),
        ("payload", c_int32),
        ("valid", c_int32),
        ("ready", c_int32),
        ("is_input", c_uint32),
        ("words", c_uint32),
        ("stall", c_uint32),
        ("pending", c_uint32),
    )


class Run(ctypes.Structure):
    _fields_ = (
        ("cycle", c_uint64),
        ("limit", c_uint64),
        ("idle", c_uint64),
        ("idle_limit", c_uint64),
        ("quiet", c_uint64),
        ("stream", c_uint32),
        ("wait_inputs", c_uint32),
    )


class Vector(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        ("start", c_uint64),
        ("shift", c_uint32),
        ("port", c_uint32),
    )


_PROTOTYPES = {
    "sim_new": (c_void_p, []),
    "sim_delete": (None, [c_void_p]),
    "sim_port_count": (c_uint32, [c_void_p]),
    "sim_ports": (POINTER(Port), [c_void_p]),
    "sim_stop_reason": (c_char_p, [c_void_p]),
    "sim_restart": (None, [c_void_p]),
    "sim_settle": (None, [c_void_p]),
    "sim_step": (c_uint32, [c_void_p, c_uint64]),
    "sim_run": (c_uint32, [c_void_p, POINTER(Stream), c_uint32, POINTER(Run)]),
    "sim_idle": (None, [c_void_p, POINTER(Stream), c_uint32]),
    "sim_vectors": (
        c_uint32,
        [c_void_p, POINTER(Vector), c_uint32, POINTER(Vector), c_uint32, c_uint64, c_uint64],
    ),
}


def load(path: Path) -> ctypes.CDLL:
    """The library at ``path``, its functions typed. Calls release Python's global lock."""
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
