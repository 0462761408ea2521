"""Loss scaling as in mixed-precision practice (Micikevicius et al., ICLR 2018; NVIDIA AMP)."""

from sat_hdl.config import ConfigError

__all__ = ["LossScaler"]


class LossScaler:
    """The factor on dY that keeps small gradients above binary16's subnormals.

    Static, it stays. Dynamic, it halves when a step overflows (not below 1), and doubles after
    ``growth_interval`` steps in a row without overflow. Powers of two only, so that scaling rounds nothing.

    Arguments
    ---------
    scale: the first factor, a power of two from 1 to 2^24.
    dynamic: whether it changes.
    growth_interval: steps, at least 1.
    """

    def __init__(self, scale: float, *, dynamic: bool, growth_interval: int):
        if scale not in (2.0**e for e in range(25)):
            raise ConfigError(f"The loss scale must be a power of two from 1 to 2^24, not {scale!r}.")
        if not isinstance(growth_interval, int) or growth_interval < 1:
            raise ConfigError(
                f"The loss scale's growth interval must be an integer of at least 1, not {growth_interval!r}."
            )
        self.scale = float(scale)
        self.dynamic = dynamic
        self.growth_interval = growth_interval
        self._good_steps = 0

    def update(self, overflow: bool):
        """Takes note of a step that overflowed or did not."""
        if not self.dynamic:
            return
        self._good_steps = 0 if overflow else self._good_steps + 1
        if overflow:
            self.scale = max(1.0, self.scale / 2)
        elif self._good_steps == self.growth_interval:
            self.scale = min(2.0**24, self.scale * 2)
            self._good_steps = 0
