"""Moving a spool's mail to another spool, of whatever backend: a part in one commit there, then gone here.

In: a source that no relay works on, and a target. Out: how much was moved. Never: mail that is in neither, wherever this is cut off; mail that
is in both once it was run to its end; a target that knows of mail before it knows of the pauses that keep it from being sent.

A part is put into the target by one commit and dropped from the source by the next. Cut off between the two, it is in both, and the next run
finds by its ids that it is there. The source is locked, so that nobody sends it from there meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass

from qboxrelay import failpoints
from qboxrelay.model.submission import State
from qboxrelay.spool.parcels import Source, Target
from qboxrelay.spool.port import SpoolError

SAME = "FROM and TO are the same spool"


class CutOff(SpoolError):  # noqa: N818 - a state, not an error of ours
    """It has begun, and can go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What came of it. `known`: the target had them, from a run that was cut off. `lost`: left under way by a relay that is gone."""

    mail: int
    known: int
    trail: int
    lost: int
    pauses: tuple[str, ...]
    """Accounts, empty for all of them."""


async def move(
    source: Source, target: Target, *, expired_into: State, with_trail: bool, progress: Callable[[int], None]
) -> Moved:
    """Raises `SpoolError` where nothing was begun, then `CutOff`: what was moved until then stays moved, and the source stays paused. `progress`
    hears of each part's submissions.
    """
    if await source.same_as(target):
        raise SpoolError(SAME)
    lost = await source.settle(expired_into)
    try:
        kept = await source.kept()
        await target.put_kept(kept)
        mail, known = await _move(source, target, trail=False, progress=progress)
        trail = (await _move(source, target, trail=True, progress=progress))[0] if with_trail else 0
        await source.finish()
    except (SpoolError, OSError) as error:
        raise CutOff(str(error)) from error
    pauses = tuple(pause["account"] for pause in kept.pauses)
    return Moved(mail=mail, known=known, trail=trail, lost=lost, pauses=pauses)


async def _move(source: Source, target: Target, *, trail: bool, progress: Callable[[int], None]) -> tuple[int, int]:
    """How many were put, and how many were there before. Mail leaves the source, its trail stays there too."""
    new = known = last = 0
    while True:
        async with source.part(last, trail=trail) as part:
            if not part.parcels:
                return new, known
            failpoints.reach("copy-taken")
            put = await target.put(part)
            failpoints.reach("copy-put")
            if not trail:
                await source.drop(part)
        failpoints.reach("copy-dropped")
        last = part.parcels[-1].key
        new, known = new + put, known + len(part.parcels) - put
        progress(len(part.parcels))
