"""cocotb benches that serve every component: what a test computed with the golden model is played and compared.

``streams``: components with streams at their boundary, under no, light and heavy back-pressure. ``lockstep``:
components whose ports have a meaning in every cycle. Both read a JSON file, named by ``$PLAN``; see
:mod:`sat_hdl.sim.bench.plan`.
"""
