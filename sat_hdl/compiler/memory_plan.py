"""Where tensors lie in the device's memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sat_hdl.compiler.formats import Activation, Blocked, Copy, Vector, up
from sat_hdl.compiler.jobs import Place
from sat_hdl.config import Config, require

__all__ = ["MemoryPlan", "Tensor"]


class _Sized(Protocol):
    @property
    def size(self) -> int: ...


@dataclass(frozen=True)
class Tensor:
    """A tensor in memory. ``part``: of a sparse copy, "values" or "indices"; empty of others."""

    place: Place
    form: Activation | Blocked | Copy | Vector
    part: str = ""

    @property
    def image(self) -> Activation:
        """``form`` of an activation or its gradient."""
        assert isinstance(self.form, Activation), self
        return self.form

    @property
    def blocked(self) -> Blocked:
        """``form`` of weights."""
        assert isinstance(self.form, Blocked), self
        return self.form

    @property
    def copy(self) -> Copy:
        """``form`` of a copy of weights."""
        assert isinstance(self.form, Copy), self
        return self.form

    def samples(self, which: range) -> "Tensor":
        """Of an activation: some of its samples. Their place has a name of its own, so who reads or writes them waits
        for nobody who has to do with others."""
        form = self.image
        if which == range(form.shape[0]):
            return self
        address = self.place.address + which.start * form.size // form.shape[0]
        return Tensor(
            Place(self.place.part(which), address), replace(form, shape=(len(which), *form.shape[1:]))
        )

    def joined(self, parts: Sequence[range]) -> "Tensor":
        """All of it, for one who must wait for all of ``parts`` of its samples."""
        cuts = (0, *(part.stop for part in parts)) if len(parts) > 1 else ()
        return replace(self, place=replace(self.place, cuts=cuts))

    @property
    def size(self) -> int:
        """Bytes."""
        if isinstance(self.form, Copy):
            return self.form.size(indices=self.part == "indices")
        return self.form.size


@dataclass
class MemoryPlan:
    """Gives out addresses, one after another.

    Arguments
    ---------
    config: memory_bits.
    next: first free address.

    Members
    -------
    tensors: by name.
    """

    config: Config
    next: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def alignment(self) -> int:
        return max(64, self.config.memory_bits // 8)

    def take(self, size: int) -> int:
        """The address of ``size`` bytes of nobody else. Raises ConfigError beyond 32-bit addresses."""
        address = up(self.next, self.alignment)
        self.next = address + size
        require(
            self.next <= 1 << 32,
            "The network's tensors take more than the 4 GiB that the device addresses; take a smaller batch.",
        )
        return address

    def add(self, name: str, form: Activation | Blocked | Copy | Vector, part: str = "") -> Tensor:
        """Places a tensor."""
        if name in self.tensors:
            raise ValueError(f"A tensor's name must be new, not {name!r}")
        tensor = Tensor(Place(name, 0), form, part)
        tensor = Tensor(Place(name, self.take(tensor.size)), form, part)
        self.tensors[name] = tensor
        return tensor

    def alias(self, name: str, of: Tensor, form: Activation) -> Tensor:
        """The bytes of another tensor in another shape."""
        self.tensors[name] = tensor = Tensor(of.place, form)
        return tensor
