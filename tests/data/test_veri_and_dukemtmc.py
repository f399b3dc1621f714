from pathlib import Path

from unplateau.data import dukemtmc, veri


def test_veri_is_read_from_its_official_folders(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "VeRi" / "image_train", ["0001_c001_00016450_0.jpg", "0001_c020_00016460_0.jpg"])
    draw_images(tmp_path / "VeRi" / "image_query", ["0002_c002_00030600_0.jpg"])
    draw_images(tmp_path / "VeRi" / "image_test", ["0002_c003_00030605_1.jpg"])
    files = veri.read(tmp_path)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(1, 0), (1, 19)]
    assert [(item.person_id, item.camera_id) for item in files.gallery] == [(2, 2)]


def test_dukemtmc_is_read_from_its_official_folders(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "DukeMTMC-reID" / "bounding_box_train", ["0001_c2_f0046182.jpg", "0001_c8_f0046302.jpg"])
    draw_images(tmp_path / "DukeMTMC-reID" / "query", ["0005_c2_f0046985.jpg"])
    draw_images(tmp_path / "DukeMTMC-reID" / "bounding_box_test", ["0005_c5_f0051341.jpg"])
    files = dukemtmc.read(tmp_path)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(1, 1), (1, 7)]
    assert "2 training images (16,522)" in files.notes[0]
