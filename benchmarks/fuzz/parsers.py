"""What is fuzzed: each reader of files or words that strangers write, with good inputs that are then spoilt."""

from benchmarks.fuzz import of_images, of_tensors, of_texts, run_folders
from benchmarks.fuzz.parser import Parser

PARSERS = (
    Parser("configuration", "YAML: bombs, cycles of _BASE_, tags, wrong types, other code bases' files", of_texts.configurations),
    Parser("overrides", "KEY VALUE pairs of a command line", of_texts.overrides),
    Parser("search space", "YAML of a search space", of_texts.spaces),
    Parser("logs", "logs of six trainers and TensorBoard's files: cut, mixed encodings, 10 MB; read and judged", of_texts.logs),
    Parser("results", "results of other trainers: JSON, CSV, npz", of_texts.results),
    Parser("features", "arrays of features: npz, also with pickles", of_tensors.features),
    Parser("weights", "weight files: torch archives, old pickles, safetensors; programs among them", of_tensors.weights),
    Parser(
        "checkpoints", "resume checkpoints and their list, checksums made to fit; programs among them", of_tensors.checkpoints
    ),
    Parser("images", "nine formats, eight colour modes; 1 x 1, 20,000 x 20,000, animated, cut", of_images.images),
    Parser("image folders", "data sets as folders, tables and lists: odd names, empty, mixed layouts", of_images.folders),
    Parser("run names", "names that try to leave the output folder", of_texts.run_names),
    Parser(
        "run folders",
        "records of a run, read and judged; 10 % with the page, 4 % with that of a group: no script may come in",
        run_folders.prepare,
    ),
)
