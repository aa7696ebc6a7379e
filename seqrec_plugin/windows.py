"""All-position training rows: windows of a user's sequence in which every position predicts the next item.

RecBole's sequential models see one prefix per training row and predict its last item. A window holds up to
`length` inputs and predicts after each of them, so one pass over a user's history gives every target once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Windows over the concatenated events of all users.

    Window w reads the events `start[w]` … `stop[w]` − 1 and predicts, after each, the next event; the targets from
    event `first_target[w]` on are its own (earlier ones belong to the window before it). Where `newcomer[w]` is set
    the window begins with one more input, id 0, whose target is event `start[w]`, the user's first.
    """

    start: Array
    stop: Array
    first_target: Array
    newcomer: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def lengths(self) -> Array:
        """int64 [n]: inputs of each window, the newcomer's id 0 included."""
        return self.stop - self.start + self.newcomer

    def __getitem__(self, index: Array) -> Windows:
        return Windows(self.start[index], self.stop[index], self.first_target[index], self.newcomer[index])


def windows(
    offsets: Array, is_target: npt.NDArray[np.bool_], length: int, stride: int, shift: Array | None = None
) -> Windows:
    """Cut users' sequences into windows so that each target is learned from exactly once.

    The windows of a user start every `stride` events; the first has all its targets, a later one those with more
    than length − stride items of context. So stride = length gives the fewest windows, and a smaller stride gives
    each target more context at the price of reading events again. With a shift all but the first start so many
    events earlier, and the first ends so many earlier: drawn anew in each epoch, it gives targets another context.

    Args:
        offsets: int64 [users + 1]; user u's events are offsets[u] … offsets[u + 1] − 1, in order of time.
        is_target: bool [events]; which events are to be predicted. A user's first event is one for the newcomer.
        length: most inputs of a window, ≥ 1.
        stride: 1 ≤ stride ≤ length.
        shift: int64 [users], each from 0 to stride − 1; None is 0 for all. Nothing is shifted of a user for whom one
            window is enough.

    Returns:
        the windows, by user and time; those that would have no target are left out.
    """
    begin, end = offsets[:-1], offsets[1:]
    events = np.arange(len(is_target))
    user = np.repeat(np.arange(len(begin)), end - begin)
    # One past each user's last target: nothing later is read as an input.
    last = begin.copy()
    np.maximum.at(last, user[is_target], events[is_target] + 1)

    reach = last - begin  # events up to the last target
    shift = np.where(reach - 1 > length, 0 if shift is None else shift, 0)
    # Window j predicts the relative positions up to j·stride + length − shift, so the first with all is the last.
    count = np.where(reach > 0, 1 + np.maximum(0, -(-(reach - 1 - length + shift) // stride)), 0)
    owner = np.repeat(np.arange(len(begin)), count)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    shifted = begin[owner] + number * stride - shift[owner]
    start = np.maximum(shifted, begin[owner])
    stop = np.minimum(shifted + length, np.maximum(last[owner] - 1, start))
    newcomer = (number == 0) & is_target[np.minimum(start, len(is_target) - 1)]
    first_target = np.where(number == 0, start + ~newcomer, start - stride + length + 1)

    targets_before = np.concatenate([[0], np.cumsum(is_target)])
    own = targets_before[stop + 1] - targets_before[np.minimum(first_target, stop + 1)]
    useful = own > 0
    return Windows(start[useful], stop[useful], first_target[useful], newcomer[useful])


def rounded(lengths: Array) -> Array:
    """The lengths to which windows are filled up, so that batches have few shapes.

    A processor's products are compiled for each shape, which takes time, and what is compiled is kept, which takes
    memory: with the 200 lengths of MovieLens-1M some gigabyte. There are eight lengths from one power of two to the
    next, so that at most an eighth is padding, and none is above the longest window's.

    Args:
        lengths: int64 [n], the inputs of each window, ≥ 1.

    Returns:
        int64 [n], each as long as its window or longer.
    """
    step = 2 ** np.maximum(0, np.log2(lengths).astype(np.int64) - 3)
    filled_up: Array = np.minimum(-(-lengths // step) * step, lengths.max(initial=1))
    return filled_up


def batches(lengths: Array, positions: int, random: np.random.Generator) -> list[Array]:
    """Group windows of like lengths so that each batch has about as many positions, padding included.

    Args:
        lengths: int64 [n], of each window, as it is filled up.
        positions: most positions of a batch (a batch has at least one window).
        random: shuffles the windows of equal length, and the batches.

    Returns:
        int64 arrays of window numbers; each window is in exactly one.
    """
    shuffled = random.permutation(len(lengths))
    order = shuffled[np.argsort(-lengths[shuffled], kind="stable")]
    groups, at = [], 0
    while at < len(order):
        rows = max(1, positions // int(lengths[order[at]]))  # the longest comes first
        groups.append(order[at : at + rows])
        at += rows
    return [groups[i] for i in random.permutation(len(groups))]


def share(chosen: Array, lengths: Array, part: int, parts: int) -> tuple[Array, bool]:
    """The windows of one step that one of several processes learns from.

    They are dealt in their order, so that windows of like lengths stay together, and so that each process has about as
    many positions as another.

    Args:
        chosen: int64 [n ≥ 1], the numbers of the step's windows.
        lengths: int64, the inputs of each window there is.
        part: which process, from 0.
        parts: how many processes.

    Returns:
        the numbers of the process's windows; and whether they are its own. Where there is none for it, the first of the
        step stands in, for shape and dtype of what is made from it: another process learns from it.
    """
    ends = np.cumsum(lengths[chosen])
    middles = ends - lengths[chosen] / 2
    begin, end = np.searchsorted(middles, ends[-1] * np.array([part, part + 1]) / parts)
    return (chosen[begin:end], True) if begin < end else (chosen[:1], False)


@dataclass(frozen=True)
class Filled:
    """A batch of windows as arrays, each int64 [batch, length].

    Attributes:
        item_seq: padded with 0 on the left.
        targets: 0 where a position has nothing to learn.
        read: the number of the event that a position reads; −1 at padding and for the newcomer.
        following: the number of the event after each position; −1 at padding.
    """

    item_seq: Array
    targets: Array
    read: Array
    following: Array


def fill(chosen: Windows, items: npt.NDArray[np.int64], is_target: npt.NDArray[np.bool_], length: int) -> Filled:
    """The arrays of some windows.

    Args:
        chosen: the windows of one batch.
        items: int64 [events], the item of each event.
        is_target: bool [events], as given to `windows`.
        length: of the arrays; at least the longest window's.
    """
    position = np.arange(length) - (length - chosen.lengths)[:, None]
    event = chosen.start[:, None] + position - chosen.newcomer[:, None]
    read = np.where((position >= 0) & (event >= chosen.start[:, None]), event, -1)
    following = np.where(position >= 0, event + 1, -1)
    learn = (following >= chosen.first_target[:, None]) & is_target[following]
    return Filled(
        item_seq=np.where(read >= 0, items[read], 0),
        targets=np.where(learn, items[following], 0),
        read=read,
        following=following,
    )
