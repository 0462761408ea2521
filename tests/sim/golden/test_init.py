"""The golden model stands alone: nothing of the hardware, nor its language, comes along."""

import subprocess
import sys

PROBE = """
import sys
import sat_hdl.sim.golden as golden
assert all(hasattr(golden, name) for name in golden.__all__)
allowed = {"sat_hdl", "sat_hdl.config", "sat_hdl.formats", "sat_hdl.sim"}
print(*sorted(
    name for name in sys.modules
    if name.split(".")[0] in ("amaranth", "cocotb", "torch", "ml_dtypes", "softfloatpy")
    or (name.startswith("sat_hdl") and name not in allowed and not name.startswith("sat_hdl.sim.golden"))
))
"""


def test_imports_no_hardware():
    probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60)
    assert (probe.returncode, probe.stdout.strip()) == (0, ""), probe.stdout + probe.stderr
