"""Timelines as files: a page to look at, and a trace for Perfetto (ui.perfetto.dev) or chrome://tracing."""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sat_hdl.control.isa import UNITS, disassemble
from sat_hdl.image import Image
from sat_hdl.sim.profile import ProgramProfile
from sat_hdl.sim.timeline import Bar

__all__ = ["chrome_trace", "timeline_page"]

_TEMPLATE = Path(__file__).with_name("timeline.html")


def _name(bar: Bar) -> str:
    what = "" if bar.label is None else f"{bar.label.layer} {bar.label.stage}"
    return what if what and bar.busy else f"wait: {what}".removesuffix(": ") if not bar.busy else "run"


def _texts(image: Image, done: ProgramProfile) -> dict[int, str]:
    """What the instruction at each address of a program says."""
    first = done.program.address
    lines = disassemble(image.words(done.program).tolist())
    return {first + 8 * i: line.partition("  ")[2].strip() for i, line in enumerate(lines)}


def chrome_trace(image: Image, programs: Sequence[ProgramProfile], title: str) -> dict[str, Any]:
    """Chrome's trace-event JSON: a thread a unit, a complete event a run or a wait, programs one after another. A
    microsecond of it is a cycle."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": title}}
    ]
    for number, name in enumerate(("program", *UNITS)):
        thread = {"ph": "M", "pid": 1, "tid": number}
        events.append({**thread, "name": "thread_name", "args": {"name": name}})
        events.append({**thread, "name": "thread_sort_index", "args": {"sort_index": number}})
    threads = {name: number for number, name in enumerate(UNITS, 1)}
    offset = 0
    for done in programs:
        cycles = done.timeline.cycles
        counters = done.counters.values
        events.append({"ph": "X", "name": done.program.name, "cat": "program", "ts": offset, "dur": cycles, "pid": 1,
                       "tid": 0, "args": counters})  # fmt: skip
        texts = _texts(image, done)
        for bar in done.timeline.bars:
            args: dict[str, Any] = {"cycles": bar.cycles}
            if bar.address is not None:
                args |= {"address": f"{bar.address:08x}", "instruction": texts.get(bar.address, "")}
            if bar.busy:
                args["waiting for memory"] = bar.waiting
            if bar.busy and bar.unit == "compute":
                args["array busy"] = bar.array_busy
            if bar.label is not None:
                args |= {"layer": bar.label.layer, "stage": bar.label.stage}
            events.append({"ph": "X", "name": _name(bar), "cat": "run" if bar.busy else "wait",
                           "ts": offset + bar.start, "dur": bar.cycles, "pid": 1, "tid": threads[bar.unit],
                           "args": args})  # fmt: skip
        offset += cycles
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"unit": "1 us is 1 cycle", "title": title},
    }


def timeline_page(image: Image, programs: Sequence[ProgramProfile], title: str) -> str:
    """One HTML page that needs nothing else: a row a unit, a bar a run, to be zoomed and moved."""
    labels: dict[str, int] = {}
    instructions: dict[str, int] = {}
    bars: list[list[int]] = []
    spans = []
    offset = 0
    units = list(UNITS)
    for done in programs:
        texts = _texts(image, done)
        for bar in done.timeline.bars:
            label = "" if bar.label is None else f"{bar.label.layer} · {bar.label.stage}"
            address = bar.address
            text = "" if address is None else f"{address:08x}  {texts.get(address, '')}"
            bars.append(
                [units.index(bar.unit), int(bar.busy), offset + bar.start, bar.cycles, bar.waiting, bar.array_busy,
                 labels.setdefault(label, len(labels)), instructions.setdefault(text, len(instructions))]
            )  # fmt: skip
        spans.append([done.program.name, offset, done.timeline.cycles])
        offset += done.timeline.cycles
    data = {
        "units": units, "bars": bars, "labels": list(labels), "instructions": list(instructions),
        "programs": spans, "cycles": offset,
    }  # fmt: skip
    # `</script>` in a layer's name must not end the script.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    page = _TEMPLATE.read_text()
    return page.replace("%TITLE%", html.escape(title)).replace("%DATA%", text)
