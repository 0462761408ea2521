"""The compiled harness as ctypes sees it; the structures mirror those of harness.cpp, burst.hpp,
csr.hpp, recorder.hpp and system.cpp."""

import ctypes
from ctypes import POINTER, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path

__all__ = [
    "BUSY",
    "DONE",
    "IDLE",
    "LIMIT",
    "STOPPED",
    "VIOLATION",
    "VIOLATIONS",
    "Access",
    "Counters",
    "Exchange",
    "MemoryConfig",
    "Port",
    "Range",
    "Run",
    "Stream",
    "Vector",
    "Wait",
    "Watch",
    "load",
]

#: What the library's calls return.
DONE, LIMIT, IDLE, DROPPED, CHANGED, SURPLUS, STOPPED, VIOLATION, BUSY = range(9)
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


class Range(ctypes.Structure):
    _fields_ = (("start", c_uint64), ("end", c_uint64), ("response", c_uint32))


class MemoryConfig(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p),
        ("base", c_uint64),
        ("size", c_uint64),
        ("seed", c_uint64),
        ("bandwidth", c_uint64),
        ("log_limit", c_uint64),
        ("errors", POINTER(Range)),
        ("writable", POINTER(Range)),
        ("n_errors", c_uint32),
        ("n_writable", c_uint32),
        ("all_writable", c_uint32),
        ("read_latency", c_uint32 * 2),
        ("write_latency", c_uint32 * 2),
        ("stall", c_uint32 * 5),
        ("outstanding", c_uint32),
        ("order", c_uint32),
        ("ready_after_valid", c_uint32),
    )


class Counters(ctypes.Structure):
    _fields_ = tuple(
        (name, c_uint64)
        for name in (
            "reads", "writes", "read_beats", "write_beats", "bytes_written", "read_errors", "write_errors",
            "most_reads", "most_writes",
        )
    )  # fmt: skip


class Exchange(ctypes.Structure):
    _fields_ = (
        ("data", c_char_p),
        ("count", c_uint64),
        ("limit", c_uint64),
        ("quiet", c_uint64),
        ("cycles", c_uint64),
        ("given", c_void_p),
        ("given_count", c_uint64),
    )


class Access(ctypes.Structure):
    _fields_ = (
        ("address", c_uint64),
        ("data", c_uint32),
        ("strobe", c_uint32),
        ("write", c_uint32),
        ("response", c_uint32),
        ("limit", c_uint64),
        ("cycles", c_uint64),
    )


class Wait(ctypes.Structure):
    _fields_ = (
        ("limit", c_uint64),
        ("cycles", c_uint64),
        ("slice", c_uint64),
        ("mask", c_uint64),
        ("value", c_uint64),
        ("port", c_int32),
    )


class Watch(ctypes.Structure):
    _fields_ = (("changes", c_uint64), ("counts", c_uint64), ("port", c_int32))


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
    "sim_design": (c_void_p, [c_void_p]),
    "sim_system_new": (c_void_p, [c_void_p, c_char_p, POINTER(c_int32), c_char_p, POINTER(c_int32)]),
    "sim_system_delete": (None, [c_void_p]),
    "sim_system_memory": (None, [c_void_p, POINTER(MemoryConfig)]),
    "sim_system_csr": (None, [c_void_p, c_uint32, c_uint64]),
    "sim_system_reset": (None, [c_void_p]),
    "sim_system_run": (c_uint32, [c_void_p, POINTER(Wait)]),
    "sim_system_access": (c_uint32, [c_void_p, POINTER(Access)]),
    "sim_system_bytes": (None, [c_void_p, POINTER(c_int32), c_uint32]),
    "sim_system_exchange": (c_uint32, [c_void_p, POINTER(Exchange)]),
    "sim_system_poll": (c_uint32, [c_void_p, POINTER(Access), POINTER(Wait)]),
    "sim_system_cycle": (c_uint64, [c_void_p]),
    "sim_system_violation": (c_char_p, [c_void_p]),
    "sim_system_counters": (None, [c_void_p, POINTER(Counters)]),
    "sim_system_open": (None, [c_void_p, POINTER(c_uint64)]),
    "sim_system_events": (c_void_p, [c_void_p, POINTER(c_uint64)]),
    "sim_system_record": (None, [c_void_p, POINTER(Watch), c_uint32, c_uint64]),
    "sim_system_changes": (c_void_p, [c_void_p, POINTER(c_uint64), POINTER(c_uint32)]),
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
