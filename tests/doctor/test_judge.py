"""Every illness of a machine is recognised on a made-up machine that has it, and a healthy one has none."""

from dataclasses import replace

import pytest

from unplateau.doctor.facts import Data, DataSet, Driver, Gpu, Machine, Package, Place, Wanted, Weights
from unplateau.doctor.judge import DEFAULT, has_problem, judge
from unplateau.doctor.judge_packages import INSTALL_PAGE

from .made_machines import CARD, CPU_ONLY, DRIVER, GIGABYTE, TORCH, check_of, healthy, with_package


def cpu_only_windows() -> Machine:
    machine = replace(healthy(), system="Windows", torch=CPU_ONLY)
    return with_package(machine, "torch", version="2.6.0+cpu")


def test_a_healthy_machine_has_only_good_lines() -> None:
    checks = judge(healthy())
    assert {check.level for check in checks} == {"ok"}
    assert not has_problem(checks)


def test_a_driver_with_a_cpu_only_torch_is_the_first_line_and_points_to_pytorchs_page() -> None:
    first = judge(cpu_only_windows())[0]
    assert (first.level, first.subject) == ("problem", "gpu")
    assert "CPU-only build" in first.text and "A plain `pip install torch` gives this build on Windows" in first.text
    assert INSTALL_PAGE in first.fix and "up to 12.4" in first.fix


def test_a_cpu_only_torch_is_fine_where_the_configuration_says_cpu() -> None:
    assert not has_problem(judge(cpu_only_windows(), replace(DEFAULT, device="cpu")))


def test_a_cpu_only_torch_without_any_driver_is_a_warning() -> None:
    machine = replace(cpu_only_windows(), driver=None)
    assert check_of(machine, "gpu").level == "warning"
    assert not has_problem(judge(machine))


def test_a_gpu_that_was_asked_for_by_name_and_is_not_there_is_a_problem() -> None:
    machine = replace(cpu_only_windows(), driver=None)
    assert check_of(machine, "gpu", replace(DEFAULT, device="cuda:1")).level == "problem"


def test_without_torch_everything_else_is_still_looked_at() -> None:
    machine = with_package(replace(healthy(), torch=None), "torch", version="")
    assert INSTALL_PAGE in check_of(machine, "torch").fix
    assert {"python", "memory", "data", "disk: runs"} <= {check.subject for check in judge(machine)}
    assert has_problem(judge(machine))


@pytest.mark.parametrize(
    ("system", "error", "fix"),
    [
        ("Windows", "OSError: [WinError 126] The specified module could not be found. Error loading c10.dll", "Visual C++"),
        ("Linux", "ImportError: numpy.core.multiarray failed to import", "NumPy do not fit together"),
        ("Linux", "the process ended with code -11 while importing it.", INSTALL_PAGE),
    ],
)
def test_a_torch_that_cannot_be_imported_is_explained(system: str, error: str, fix: str) -> None:
    machine = with_package(replace(healthy(), torch=None, system=system), "torch", error=error)
    check = check_of(machine, "torch")
    assert check.level == "problem" and fix in check.fix and error in check.text


@pytest.mark.parametrize(
    "error", ["RuntimeError: operator torchvision::nms does not exist", "RuntimeError: Couldn't load custom C++ ops: nms"]
)
def test_a_torchvision_of_another_torch_is_named_with_its_cure(error: str) -> None:
    check = check_of(with_package(healthy(), "torchvision", error=error), "torchvision")
    assert check.level == "problem" and "built for another torch" in check.text
    assert "install --upgrade --force-reinstall torch torchvision" in check.fix


def test_a_torchvision_that_asks_for_another_torch_is_warned_of_even_if_it_imports() -> None:
    check = check_of(with_package(healthy(), "torchvision", needs_torch="==2.7.1"), "torchvision")
    assert check.level == "warning" and "asks for torch ==2.7.1" in check.text


def test_the_excluded_version_of_torch_is_refused() -> None:
    check = check_of(with_package(healthy(), "torch", version="2.13.0+cpu"), "torch")
    assert check.level == "problem" and "does not work" in check.text


@pytest.mark.parametrize(
    ("name", "version"), [("torch", "2.5.1"), ("timm", "0.9.16"), ("numpy", "1.24.4"), ("pydantic", "1.10.0")]
)
def test_a_package_that_is_too_old_is_a_problem(name: str, version: str) -> None:
    check = check_of(with_package(healthy(), name, version=version, needs_torch=""), name)
    assert check.level == "problem" and "too old" in check.text and name in check.fix


def test_a_package_that_is_missing_is_a_problem_and_an_optional_one_is_not() -> None:
    assert check_of(with_package(healthy(), "timm", version=""), "timm").level == "problem"
    extras = check_of(with_package(healthy(), "onnxruntime", version=""), "extras")
    assert extras.level == "ok" and "export (onnxruntime)" in extras.text


@pytest.mark.parametrize(
    ("python", "level"), [((3, 10, 4), "problem"), ((3, 11, 0), "ok"), ((3, 13, 2), "ok"), ((3, 15, 0), "warning")]
)
def test_pythons_version(python: tuple[int, int, int], level: str) -> None:
    assert check_of(replace(healthy(), python=python), "python").level == level


@pytest.mark.parametrize(
    ("environment", "driver", "said", "text"),
    [
        ({"CUDA_VISIBLE_DEVICES": "-1"}, DRIVER, "", "CUDA_VISIBLE_DEVICES is '-1'"),
        ({}, Driver(problem="couldn't communicate with the NVIDIA driver"), "", "does not answer"),
        ({}, Driver("470.1", "11.4", ("GTX 1080",)), "driver too old", "runs CUDA up to 11.4"),
        ({}, DRIVER, "CUDA unknown error", "torch cannot use it (CUDA unknown error)"),
    ],
)
def test_a_cuda_build_that_finds_no_gpu_is_told_why(environment: dict[str, str], driver: Driver, said: str, text: str) -> None:
    torch = replace(TORCH, gpus=(), architectures=(), cuda_problem=said)
    check = check_of(replace(healthy(), torch=torch, driver=driver, environment=environment), "gpu")
    assert check.level == "problem" and text in check.text and check.fix


@pytest.mark.parametrize("card", [Gpu("RTX 5090", 32 * GIGABYTE, (12, 0)), Gpu("Tesla K80", 12 * GIGABYTE, (3, 7))])
def test_a_card_that_torch_has_no_kernels_for_is_a_problem(card: Gpu) -> None:
    check = check_of(replace(healthy(), torch=replace(TORCH, gpus=(card,))), "gpu")
    assert check.level == "problem" and "no kernels" in check.text


def test_a_card_on_which_a_computation_fails_is_a_problem() -> None:
    torch = replace(TORCH, cuda_problem="RuntimeError: CUDA error: an illegal memory access")
    assert "illegal memory access" in check_of(replace(healthy(), torch=torch), "gpu").text


def test_a_small_card_is_told_what_to_do() -> None:
    torch = replace(TORCH, gpus=(replace(CARD, memory_bytes=4 * GIGABYTE),))
    check = check_of(replace(healthy(), torch=torch), "gpu")
    assert check.level == "warning" and "IMS_PER_BATCH" in check.fix


def test_an_apple_gpu_is_used() -> None:
    machine = replace(healthy(), system="Darwin", driver=None, torch=replace(CPU_ONLY, has_mps=True))
    assert check_of(machine, "gpu").level == "ok"


@pytest.mark.parametrize(
    ("capability", "amp", "level", "words"),
    [
        ((8, 6), "bf16", "ok", "bf16"),
        ((7, 5), "bf16", "warning", "only emulates"),
        ((7, 5), "auto", "ok", "takes fp16"),
        ((6, 1), "auto", "ok", "saves memory"),
    ],
)
def test_the_number_format_of_a_card(capability: tuple[int, int], amp: str, level: str, words: str) -> None:
    torch = replace(TORCH, gpus=(replace(CARD, capability=capability),))
    check = check_of(replace(healthy(), torch=torch), "precision", replace(DEFAULT, amp=amp))
    assert check.level == level and words in check.text


def test_fp16_on_a_processor_is_a_problem() -> None:
    assert check_of(replace(healthy(), driver=None, torch=CPU_ONLY), "precision", replace(DEFAULT, amp="fp16")).level == "problem"


def test_one_thread_on_many_cores_is_warned_of_only_where_the_processor_trains() -> None:
    limited = replace(healthy(), environment={"OMP_NUM_THREADS": "1"}, torch=replace(CPU_ONLY, num_threads=1), driver=None)
    assert check_of(limited, "cpu").level == "warning"
    assert check_of(replace(limited, torch=replace(TORCH, num_threads=1)), "cpu").level == "ok"


def test_little_memory_is_warned_of() -> None:
    assert check_of(replace(healthy(), free_memory_bytes=GIGABYTE), "memory").level == "warning"
    assert check_of(replace(healthy(), memory_bytes=0), "memory").level == "ok"


def test_loader_workers_on_windows_and_in_a_small_container_are_warned_of() -> None:
    many = Wanted("auto", "off", num_workers=4, is_cached=False)
    assert "on Windows" in check_of(replace(healthy(), system="Windows"), "loader workers", many).text
    assert "--shm-size" in check_of(replace(healthy(), shared_memory_bytes=64 * 10**6), "loader workers", many).fix
    assert check_of(replace(healthy(), shared_memory_bytes=64 * 10**6), "loader workers").level == "ok"


@pytest.mark.parametrize(
    ("free_bytes", "is_writable", "level"),
    [(10**8, True, "problem"), (2 * GIGABYTE, True, "warning"), (50 * GIGABYTE, True, "ok"), (50 * GIGABYTE, False, "problem")],
)
def test_disk_space(free_bytes: int, is_writable: bool, level: str) -> None:
    places = (Place("runs", "logs", free_bytes, is_writable), Place("image cache", "cache", 50 * GIGABYTE, True))
    check = check_of(replace(healthy(), places=places), "disk: runs")
    assert check.level == level and (level == "ok" or "OUTPUT_DIR" in check.fix)


def test_data_that_was_asked_for_and_is_missing_is_a_problem_with_every_place_looked_at() -> None:
    missing = DataSet(
        "Market1501", problem="Market1501 was not found. Looked at\n    /data/Market (does not exist)\n  To get it: ..."
    )
    check = check_of(replace(healthy(), data=Data("/data", "REID_DATA", True, (missing,))), "data")
    assert check.level == "problem" and "/data/Market (does not exist)" in check.fix


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Data("/data", "REID_DATA", True, is_asked=False), "REID_DATA names /data, which holds no data set we know"),
        (
            Data("/x/datasets", "", False, is_asked=False),
            "neither REID_DATA nor DATASETS.ROOT is set, so /x/datasets, which does not",
        ),
    ],
)
def test_no_data_at_all_is_a_warning_that_says_where_it_looked(data: Data, words: str) -> None:
    check = check_of(replace(healthy(), data=data), "data")
    assert check.level == "warning" and words in check.text and "minimarket_demo" in check.fix


@pytest.mark.parametrize(
    ("weights", "level"),
    [
        (Weights("pretrained", address="https://huggingface.co"), "warning"),
        (Weights("timm resnet50.a1_in1k", address="https://huggingface.co"), "problem"),
        (Weights("timm resnet50.a1_in1k", path="/cache/model.safetensors"), "ok"),
        (Weights("MODEL.WEIGHTS", problem="MODEL.WEIGHTS is x.pth, which is not a file."), "problem"),
    ],
)
def test_pretrained_weights(weights: Weights, level: str) -> None:
    check = check_of(replace(healthy(), weights=(weights,)), "weights")
    assert check.level == level and (level == "ok" or "PRETRAIN_PATH" in check.fix)


def test_every_line_that_is_not_good_says_how_to_mend_it() -> None:
    ill = replace(
        cpu_only_windows(), python=(3, 9, 0), free_memory_bytes=0, places=(Place("runs", "logs", 0, True),),
        data=Data("/d", "", False),
        weights=(Weights("pretrained"),), environment={"OMP_NUM_THREADS": "1"},
        packages={name: Package(name) for name in healthy().packages},
    )  # fmt: skip
    assert all(check.fix for check in judge(ill) if check.level != "ok")
    assert sum(check.level != "ok" for check in judge(ill)) > 10
