"""What COMPUTE hands to the product unit: a job, and where its operands and results lie."""

from amaranth.lib import data

from sat_hdl.config import Config
from sat_hdl.layouts import job_layout

__all__ = ["Initial", "product_run_layout"]


class Initial:
    """What sums start from: the actions of the unit."""

    ZERO, BIAS, RESULTS = range(3)


def product_run_layout(config: Config) -> data.StructLayout:
    """A job, and where its operands and results lie, in words of their buffers.

    A tile of R rows of A has ``west_pitch`` words in each bank, a panel of B ``north_pitch``. ``start``: see
    :class:`Initial`. Biases have a word a slot, one slot after the other; results and partial sums come in
    the order of an array that does not fold: for band, for tile of R rows, for slot, for row.

    Of a weight-stationary job ``west`` is the place, in bank r, of the elements of group r of k, of row after row of
    A; all else lies as for an output-stationary one.
    """
    return data.StructLayout(
        {
            "job": job_layout(config),
            "start": 2,
            "west": 17,
            "west_pitch": 17,
            "north": 17,
            "north_pitch": 17,
            "initial": 17,
            "result": 17,
        }
    )
