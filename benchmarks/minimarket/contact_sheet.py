"""A page of MiniMarket to look at: rows are identities, columns cameras, two pictures of each.

python benchmarks/minimarket/contact_sheet.py MINIMARKET_FOLDER OUT.png [ROWS=10] [FIRST=0] [ENLARGE=1]
"""

import sys
from collections import defaultdict
from pathlib import Path

from PIL import Image

EACH = 2


def main(folder: str, out: str, rows: int = 10, first: int = 0, enlarge: int = 1) -> None:
    pictures: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((Path(folder) / "bounding_box_train").glob("*.jpg")):
        person, place = path.name.split("_")[:2]
        pictures[person][place[:2]].append(path)
    chosen = sorted(pictures)[first : first + rows]
    sheet = Image.new("RGB", (6 * (EACH * 65 + 6), len(chosen) * 130), "white")
    for row, person in enumerate(chosen):
        for camera in range(6):
            for k, path in enumerate(pictures[person][f"c{camera + 1}"][:EACH]):
                sheet.paste(Image.open(path), (camera * (EACH * 65 + 6) + k * 65, row * 130))
    sheet.resize((sheet.width * enlarge, sheet.height * enlarge), Image.Resampling.BICUBIC).save(out, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(number) for number in sys.argv[3:6]))
