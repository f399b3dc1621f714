"""Who a person is: build, skin, hair, clothes, shoes and bag, drawn from a generator. How it is posed is in `body`.

Persons come in families that share their cloth colours and differ in cut, pattern, bag and hair only, so that looking
at colour alone confuses them, as it does in a crowd of students.
"""

from dataclasses import dataclass

import numpy as np

from unplateau.data.minimarket.clothes import CLOTH, HAIR, LOWER_CLOTH, LOWER_PATTERNS, SKIN, UPPER_PATTERNS, Colour

BAGS = ("none", "none", "backpack", "backpack", "crossbody", "tote", "handbag")
BAG_CLOTH = ("black", "red", "navy", "khaki", "green", "white")
SHOE_CLOTH = ("black", "white", "red", "khaki", "grey")
HAIR_STYLES = ("short", "short", "short", "bob", "long", "long", "ponytail", "bun", "bald")
HEADWEAR = ("none", "none", "none", "none", "none", "cap", "beanie")
UPPER_CUTS = ("tee", "tee", "shirt", "shirt", "jacket", "vest top", "coat", "dress")
LOWER_CUTS = ("trousers", "trousers", "slim", "wide", "shorts", "shorts", "skirt", "long skirt")


@dataclass(frozen=True)
class Colours:
    """The three cloth colours lookalikes share, by name in `clothes.CLOTH`."""

    upper: str
    second: str
    lower: str


@dataclass(frozen=True)
class Garment:
    """One garment: its cut (UPPER_CUTS or LOWER_CUTS), pattern, colours and coarseness of the pattern (0..1)."""

    cut: str
    pattern: str
    ground: Colour
    second: Colour
    coarseness: float
    sleeves_second: bool = False


@dataclass(frozen=True)
class Person:
    """Everything about a person that does not change from picture to picture; lengths relative to an average build."""

    girth: float
    belly: float
    shoulders: float
    hips: float
    legs: float
    skin: Colour
    hair_style: str
    hair: Colour
    headwear: str
    headwear_colour: Colour
    upper: Garment
    lower: Garment
    shoes: Colour
    socks: bool
    bag: str
    bag_side: int
    bag_colour: Colour
    bag_second: Colour
    bag_pocket: bool


def draw_colours(generator: np.random.Generator) -> Colours:
    """Return the cloth colours of one family of lookalikes."""
    upper, second = generator.choice(list(CLOTH), 2, replace=False)
    return Colours(str(upper), str(second), str(generator.choice(LOWER_CLOTH)))


def draw_person(generator: np.random.Generator, colours: Colours) -> Person:
    """Return a person of the family `colours`; everything but its cloth colours is drawn."""
    female = generator.random() < 0.5
    bag_colour, bag_second = generator.choice(BAG_CLOTH, 2, replace=False)
    return Person(
        girth=float(np.clip(generator.normal(1.0, 0.11), 0.84, 1.3)),
        belly=float(np.clip(generator.normal(0.1, 0.25), 0, 0.7)),
        shoulders=float(generator.normal(0.94 if female else 1.06, 0.03)),
        hips=float(generator.normal(1.07 if female else 0.97, 0.03)),
        legs=float(generator.normal(1.0, 0.03)),
        skin=SKIN[generator.choice(len(SKIN), p=(0.25, 0.3, 0.2, 0.13, 0.12))],
        hair_style=_hair_style(generator, female),
        hair=HAIR[generator.choice(len(HAIR), p=(0.4, 0.25, 0.15, 0.13, 0.07))],
        headwear=str(generator.choice(HEADWEAR)),
        headwear_colour=_any_cloth(generator),
        upper=_upper(generator, colours, female),
        lower=_lower(generator, colours, female),
        shoes=CLOTH[str(generator.choice(SHOE_CLOTH))],
        socks=bool(generator.random() < 0.3),
        bag=str(generator.choice(BAGS)),
        bag_side=int(generator.choice((-1, 1))),
        bag_colour=CLOTH[str(bag_colour)],
        bag_second=CLOTH[str(bag_second)],
        bag_pocket=bool(generator.random() < 0.5),
    )


def _hair_style(generator: np.random.Generator, female: bool) -> str:
    usual = ("bob", "long", "long", "ponytail", "bun") if female else ("short", "short", "short", "short", "bald", "long")
    return str(generator.choice(usual))


def _upper(generator: np.random.Generator, colours: Colours, female: bool) -> Garment:
    cuts = UPPER_CUTS if female else UPPER_CUTS[:-1]
    return Garment(
        cut=str(generator.choice(cuts)),
        pattern=str(generator.choice(UPPER_PATTERNS)),
        ground=CLOTH[colours.upper],
        second=CLOTH[colours.second],
        coarseness=float(generator.random()),
        sleeves_second=bool(generator.random() < 0.25),
    )


def _lower(generator: np.random.Generator, colours: Colours, female: bool) -> Garment:
    cuts = LOWER_CUTS if female else LOWER_CUTS[:-2]
    ground = np.array(CLOTH[colours.lower])
    second = 0.55 * ground + 0.45 * (0.9 if ground.mean() < 0.5 else 0.1)
    return Garment(
        cut=str(generator.choice(cuts)),
        pattern=str(generator.choice(LOWER_PATTERNS)),
        ground=CLOTH[colours.lower],
        second=(float(second[0]), float(second[1]), float(second[2])),
        coarseness=float(generator.random()),
    )


def _any_cloth(generator: np.random.Generator) -> Colour:
    return CLOTH[str(generator.choice(list(CLOTH)))]
