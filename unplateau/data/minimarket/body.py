"""A person in a pose as solids: skeleton, garments, hair and shoes. What is carried or worn on the head is in `belongings`.

Lengths are body heights; the frame is the person's own (x to its left, y up, z to its front). Proportions after the
usual eight-heads canon of figure drawing, with a slightly larger head, as low-resolution crops show it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from unplateau.data.minimarket.clothes import cloth, face, hair_cap
from unplateau.data.minimarket.person import Person
from unplateau.data.minimarket.raster import Floats, Point, Solid, plain

SHOULDER_Y, HIP_Y = 0.79, 0.49
_THIGH, _SHIN, _UPPER_ARM, _FOREARM = 0.222, 0.215, 0.165, 0.15
_TORSO_Y = (0.20, 0.46, 0.52, 0.60, 0.68, 0.75, 0.79, 0.815, 0.835)
_TORSO_HALF_WIDTH = (0.118, 0.098, 0.098, 0.088, 0.094, 0.099, 0.088, 0.066, 0.042)
_HEM_Y = {"tee": 0.47, "shirt": 0.45, "jacket": 0.44, "vest top": 0.48, "coat": 0.30, "dress": 0.31}
_LOOSENESS = {"tee": 1.0, "shirt": 1.03, "jacket": 1.12, "vest top": 0.97, "coat": 1.14, "dress": 1.0}

_STEP_IN = {"dress": 0.65, "skirt": 0.65, "long skirt": 0.4}  # share of a full step that a skirt allows


@dataclass(frozen=True)
class Pose:
    """One moment of a walk: `phase` in radians, `stride` 0 (standing) to 1, arms by side (left, right), head turn in radians."""

    phase: float
    stride: float
    elbows: tuple[float, float]
    head_turn: float = 0.0
    lean: float = 0.02


class Limb(NamedTuple):
    """Where a limb's three joints are: shoulder, elbow, wrist or hip, knee, ankle."""

    root: Point
    middle: Point
    end: Point


class Paints(NamedTuple):
    """The paints of one person, made once and used for all its pictures."""

    upper: Floats
    lower: Floats
    face: Floats
    hair: Floats | None


def make_paints(person: Person) -> Paints:
    """Return the paints of a person's clothes, face and hair."""
    upper, lower = person.upper, person.lower
    side, nape = {"short": (0.5, 0.25), "bald": (2, 2)}.get(person.hair_style, (-0.1, -0.1))
    return Paints(
        cloth(upper.pattern, upper.ground, upper.second, upper.coarseness),
        cloth(lower.pattern, lower.ground, lower.second, lower.coarseness),
        face(person.skin, person.hair),
        None if person.hair_style == "bald" else hair_cap(person.hair, side, nape),
    )


def arm(person: Person, pose: Pose, side: int) -> Limb:
    """Return the joints of the arm on `side` (1 left, -1 right); it swings against its leg."""
    swing = -side * 0.55 * pose.stride * math.sin(pose.phase)
    elbow = pose.elbows[0 if side > 0 else 1]
    outward = 0.13 + 0.05 * (person.girth - 1) * 4
    shoulder = (side * 0.092 * person.shoulders * (0.7 + 0.3 * person.girth), SHOULDER_Y - 0.024, 0.0)
    middle = _step(shoulder, _UPPER_ARM, swing, side * outward)
    return Limb(shoulder, middle, _step(middle, _FOREARM, swing + elbow, side * (outward - 0.25 * elbow)))


def leg(person: Person, pose: Pose, side: int) -> Limb:
    """Return the joints of the leg on `side`; the knee bends while the leg swings forward."""
    phase = pose.phase + (0 if side > 0 else math.pi)
    stride = pose.stride * _STEP_IN.get("dress" if person.upper.cut == "dress" else person.lower.cut, 1.0)
    swing = 0.5 * stride * math.sin(phase)
    knee = 0.08 + 0.75 * stride * max(0.0, math.cos(phase)) ** 1.5
    hip = (side * 0.046 * person.hips, HIP_Y, 0.0)
    middle = _step(hip, _THIGH * person.legs, swing, side * 0.02)
    return Limb(hip, middle, _step(middle, _SHIN * person.legs, swing - knee, side * 0.01))


def body(person: Person, pose: Pose, paints: Paints) -> list[Solid]:
    """Return the solids of a dressed person without belongings, feet about y = 0."""
    solids = [*_head(person, pose, paints), *_torso(person, paints)]
    for side in (1, -1):
        solids += _arm(person, arm(person, pose, side), paints)
        solids += _leg(person, leg(person, pose, side), paints)
    return solids


def torso_half_width(person: Person, y: float) -> float:
    """Return half the width of the clothed trunk at height `y`."""
    width = float(np.interp(y, _TORSO_Y, _TORSO_HALF_WIDTH)) * (0.6 + 0.4 * person.girth)
    shoulder_share = float(np.interp(y, (0.55, 0.76), (0, 1)))
    belly = 1 + 0.25 * person.belly * float(math.exp(-(((y - 0.58) / 0.08) ** 2)))
    looseness = 1 + (_LOOSENESS[person.upper.cut] - 1) * float(y < 0.82)
    return width * belly * looseness * (person.shoulders * shoulder_share + person.hips * (1 - shoulder_share))


def torso_flatness(person: Person) -> float:
    """Return depth over width of the trunk."""
    return 0.66 + 0.25 * person.belly + 0.15 * (person.girth - 1)


def hem_y(person: Person) -> float:
    """Return the height of the upper garment's hem."""
    return _HEM_Y[person.upper.cut]


def _torso(person: Person, paints: Paints) -> list[Solid]:
    hem, flatness = hem_y(person), torso_flatness(person)
    bottom = max(hem, 0.44)
    skirt_rows = round(len(paints.upper) * (bottom - hem) / (0.835 - hem))
    widths = tuple(torso_half_width(person, y) for y in np.linspace(bottom, 0.835, 10))
    trunk = Solid((0, bottom, 0), (0, 0.835, 0), widths, paints.upper[skirt_rows:], flatness=flatness, rounded=False)
    neck = Solid((0, 0.80, 0), (0, 0.89, 0.008), (0.036,), plain(person.skin))
    solids = [trunk, neck, *_below_the_waist(person, paints, flatness)]
    if skirt_rows:  # rounder than the trunk, so that the thighs stay under it
        widths = tuple(torso_half_width(person, y) * 1.03 for y in (hem, 0.5 * (hem + 0.5), 0.5))
        solids.append(Solid((0, hem, 0), (0, 0.5, 0), widths, paints.upper[: skirt_rows + 4], flatness=0.92, rounded=False))
    return solids


def _below_the_waist(person: Person, paints: Paints, flatness: float) -> list[Solid]:
    slim = 0.93 * torso_half_width(person, 0.5) / _LOOSENESS[person.upper.cut]
    if person.upper.cut == "dress":
        return []
    if person.lower.cut in ("skirt", "long skirt"):
        bottom = 0.30 if person.lower.cut == "skirt" else 0.13
        flare = 1.3 if person.lower.cut == "skirt" else 1.45
        return [Solid((0, bottom, 0), (0, 0.55, 0), (slim * flare, slim * 1.15, slim * 0.95), paints.lower, 0.95, rounded=False)]
    return [Solid((0, 0.455, 0), (0, 0.53, 0), (slim, slim), paints.lower, flatness)]


def _head(person: Person, pose: Pose, paints: Paints) -> list[Solid]:
    start, end, turn = (0.0, 0.893, 0.020), (0.0, 0.950, 0.010), pose.head_turn
    solids = [Solid(start, end, (0.043, 0.051, 0.055, 0.052), paints.face, 1.12, turn=turn)]
    if paints.hair is None:
        return solids
    lifted = (0.0, 0.895, 0.010), (0.0, 0.953, 0.003)
    solids.append(Solid(*lifted, (0.052, 0.059, 0.061, 0.058), paints.hair, 1.12, turn=turn))
    return solids + _hair_behind(person, pose)


def _hair_behind(person: Person, pose: Pose) -> list[Solid]:
    paint = plain(person.hair)
    back_x = -math.sin(pose.head_turn) * 0.03
    if person.hair_style == "long":
        return [Solid((0, 0.78, -0.052), (back_x, 0.93, -0.025), (0.045, 0.056, 0.054), paint, 0.55)]
    if person.hair_style == "bob":
        return [Solid((back_x, 0.868, -0.018), (back_x, 0.93, -0.015), (0.062, 0.058), paint, 0.8)]
    if person.hair_style == "ponytail":
        return [Solid((back_x, 0.83, -0.095), (back_x, 0.95, -0.062), (0.012, 0.024, 0.018), paint)]
    if person.hair_style == "bun":
        return [Solid((back_x, 0.985, -0.05), (back_x, 0.99, -0.052), (0.03,), paint)]
    return []


def _arm(person: Person, limb: Limb, paints: Paints) -> list[Solid]:
    thick = 0.75 + 0.25 * person.girth
    skin = plain(person.skin)
    hand = _step(limb.end, 0.035, 0.2, 0.0)
    sleeves = _sleeve(person, limb, paints, thick)
    palm = Solid(limb.end, hand, (0.019, 0.021), skin, flatness=0.8)
    if person.upper.cut not in ("vest top", "tee", "dress"):
        return [palm, *sleeves]
    upper = Solid(limb.root, limb.middle, (0.030 * thick, 0.025 * thick), skin)
    return [palm, upper, Solid(limb.middle, limb.end, (0.024 * thick, 0.018 * thick), skin), *sleeves]


def _sleeve(person: Person, limb: Limb, paints: Paints, thick: float) -> list[Solid]:
    cut = person.upper.cut
    patterned = person.upper.pattern in ("hoops", "pinstripes", "check", "dots")
    paint = plain(person.upper.second if person.upper.sleeves_second else person.upper.ground)
    if patterned and not person.upper.sleeves_second:
        paint = paints.upper[:, ::2]
    if cut == "vest top":
        return []
    if cut in ("tee", "dress"):
        short = _between(limb.root, limb.middle, 0.68)
        return [
            Solid(limb.root, short, (0.036 * thick, 0.040 * thick), paint, rounded=False),
            _ball(limb.root, 0.036 * thick, paint),
        ]
    wide = thick * (1.25 if cut in ("jacket", "coat") else 1.05)
    cuff = _between(limb.middle, limb.end, 0.95)
    return [
        Solid(limb.root, limb.middle, (0.036 * wide, 0.031 * wide), paint),
        Solid(limb.middle, cuff, (0.031 * wide, 0.026 * wide), paint),
    ]


def _leg(person: Person, limb: Limb, paints: Paints) -> list[Solid]:
    thick, skin = 0.7 + 0.3 * person.girth, plain(person.skin)
    cut = "none" if person.upper.cut == "dress" else person.lower.cut
    clothed = [*_shoe(person, limb), *_leg_cloth(cut, limb, paints.lower, thick)]
    if cut in ("trousers", "slim", "wide"):
        return clothed
    thigh = Solid(limb.root, limb.middle, (0.050 * thick, 0.046 * thick, 0.034 * thick), skin)
    return [*clothed, thigh, Solid(limb.middle, limb.end, (0.032 * thick, 0.033 * thick, 0.023 * thick), skin)]


def _leg_cloth(cut: str, limb: Limb, paint: Floats, thick: float) -> list[Solid]:
    if cut == "shorts":
        end = _between(limb.root, limb.middle, 0.88)
        return [
            Solid(end, limb.root, (0.064 * thick, 0.060 * thick, 0.054 * thick), paint, rounded=False),
            _ball(limb.root, 0.052 * thick, paint),
        ]
    if cut not in ("trousers", "slim", "wide"):
        return []
    thigh, knee, ankle = {"trousers": (0.055, 0.048, 0.042), "slim": (0.052, 0.043, 0.033), "wide": (0.058, 0.058, 0.062)}[cut]
    cuff = _between(limb.middle, limb.end, 0.96)
    return [
        Solid(limb.middle, limb.root, (knee * thick, thigh * thick), paint),
        Solid(cuff, limb.middle, (ankle * thick, knee * thick), paint[: len(paint) // 2]),
    ]


def _shoe(person: Person, limb: Limb) -> list[Solid]:
    tilt = 0.6 * math.atan2(limb.middle[2] - limb.end[2], limb.middle[1] - limb.end[1])
    x, y, z = limb.end
    heel = (x, y - 0.018, z - 0.022)
    toe = (x * 1.12, heel[1] - 0.012 - 0.1 * math.sin(max(tilt, 0.0)), z + 0.078 * math.cos(tilt))
    solids = [Solid(heel, toe, (0.027, 0.030, 0.024), plain(person.shoes))]
    if person.socks:
        solids.append(Solid((x, y - 0.005, z), (x, y + 0.045, z), (0.027,), plain((0.85, 0.85, 0.84))))
    return solids


def _ball(centre: Point, radius: float, paint: Floats) -> Solid:
    return Solid(centre, (centre[0], centre[1] + 1e-3, centre[2]), (radius,), paint)


def _step(start: Point, length: float, swing: float, outward: float) -> Point:
    """Return the end of a bone hanging from `start`, swung forward and outward by angles in radians."""
    down = length * float(math.cos(swing) * math.cos(outward))
    return start[0] + length * math.sin(outward), start[1] - down, start[2] + length * math.sin(swing)


def _between(start: Point, end: Point, share: float) -> Point:
    x, y, z = (a + (b - a) * share for a, b in zip(start, end, strict=True))
    return x, y, z
