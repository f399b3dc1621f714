"""What a person carries and wears on its head, as solids around the body of `body`: bags with their straps, caps, beanies."""

import numpy as np

from unplateau.data.minimarket.body import Limb, Pose, arm, torso_flatness, torso_half_width
from unplateau.data.minimarket.clothes import rucksack
from unplateau.data.minimarket.person import Person
from unplateau.data.minimarket.raster import Floats, Point, Solid, plain


def belongings(person: Person, pose: Pose) -> list[Solid]:
    """Return the solids of a person's bag and headwear."""
    carried = {"backpack": _backpack, "crossbody": _crossbody, "tote": _tote, "handbag": _handbag}.get(person.bag)
    return (carried(person, pose) if carried else []) + _headwear(person, pose)


def _backpack(person: Person, pose: Pose) -> list[Solid]:
    behind = -_chest_depth(person) - 0.045
    paint = rucksack(person.bag_colour, person.bag_second, person.bag_pocket)
    pack = Solid((0, 0.565, behind), (0, 0.785, behind), (0.092, 0.100, 0.096, 0.076), paint, 0.6, rounded=False, boxiness=3.5)
    lid = Solid((0, 0.775, behind), (0, 0.785, behind), (0.076,), plain(person.bag_colour), 0.66)
    straps = [strap for side in (1, -1) for strap in _shoulder_straps(person, side)]
    return [pack, lid, *straps]


def _shoulder_straps(person: Person, side: int) -> list[Solid]:
    x, front, paint = side * 0.062 * person.shoulders, _chest_depth(person), plain(person.bag_colour)
    points: tuple[Point, ...] = (
        (x, 0.825, -0.02),
        (x, 0.822, 0.025),
        (x * 1.05, 0.74, front * 0.93),
        (x * 1.35, 0.60, front * 0.6),
    )
    return _ribbon(points, 0.015, paint)


def _crossbody(person: Person, pose: Pose) -> list[Solid]:
    side, front = person.bag_side, _chest_depth(person)
    hip = side * (torso_half_width(person, 0.5) + 0.022)
    bag = _bag((hip, 0.43, 0.01), (hip, 0.53, 0.01), 0.034, person)
    strap = plain(person.bag_second)
    over = (-side * 0.065, 0.828, 0.0)
    ahead: tuple[Point, ...] = (over, (-side * 0.05, 0.78, front * 0.9), (side * 0.02, 0.66, front * 1.12), (hip, 0.53, 0.05))
    back: tuple[Point, ...] = (over, (-side * 0.05, 0.78, -front * 0.9), (side * 0.02, 0.66, -front * 1.12), (hip, 0.53, -0.03))
    return [bag, *_ribbon(ahead, 0.012, strap), *_ribbon(back, 0.012, strap)]


def _tote(person: Person, pose: Pose) -> list[Solid]:
    side = person.bag_side
    x = side * (torso_half_width(person, 0.6) + 0.05)
    bag = _bag((x, 0.43, -0.02), (x, 0.60, -0.02), 0.03, person)
    shoulder = (side * 0.085 * person.shoulders, 0.825, 0.0)
    paint = plain(person.bag_second)
    return [bag, *_ribbon((shoulder, (x, 0.60, 0.05)), 0.010, paint), *_ribbon((shoulder, (x, 0.60, -0.08)), 0.010, paint)]


def _handbag(person: Person, pose: Pose) -> list[Solid]:
    limb: Limb = arm(person, pose, person.bag_side)
    x, y, z = limb.end[0], limb.end[1] - 0.035, limb.end[2]
    bag = _bag((x, y - 0.16, z), (x, y - 0.045, z), 0.028, person)
    paint = plain(person.bag_second)
    return [
        bag,
        *_ribbon(((x, y, z), (x, y - 0.05, z + 0.04)), 0.007, paint),
        *_ribbon(((x, y, z), (x, y - 0.05, z - 0.04)), 0.007, paint),
    ]


def _headwear(person: Person, pose: Pose) -> list[Solid]:
    if person.headwear == "none":
        return []
    reach = 0.70 if person.headwear == "cap" else 0.45
    crown: Floats = np.tile(plain(person.headwear_colour), (20, 1, 1))
    crown[: round(20 * reach), :, 3] = 0
    solids = [Solid((0, 0.895, 0.010), (0, 0.958, 0.005), (0.058, 0.063, 0.065, 0.062), crown, 1.12, turn=pose.head_turn)]
    if person.headwear == "cap":
        brim = plain([0.85 * part for part in person.headwear_colour])
        x = 0.05 * float(np.sin(pose.head_turn))
        solids += [Solid((x - dx, 0.952, 0.055), (x * 2 - dx, 0.946, 0.098), (0.011,), brim) for dx in (-0.03, -0.01, 0.01, 0.03)]
    return solids


def _bag(bottom: Point, top: Point, half_width: float, person: Person) -> Solid:
    paint = rucksack(person.bag_colour, person.bag_second, person.bag_pocket)
    return Solid(bottom, top, (half_width * 1.1, half_width), paint, 2.3, rounded=False, boxiness=3.5)


def _ribbon(points: tuple[Point, ...], half_width: float, paint: Floats) -> list[Solid]:
    return [Solid(a, b, (half_width,), paint) for a, b in zip(points, points[1:], strict=False)]


def _chest_depth(person: Person) -> float:
    return torso_half_width(person, 0.7) * torso_flatness(person)
