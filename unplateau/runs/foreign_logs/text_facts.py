"""Facts that text logs carry between their numbers: data set tables, printed configurations and models, known warnings."""

from __future__ import annotations

import re
from typing import Any

from unplateau.config.yaml_file import plain_tree
from unplateau.runs.foreign_logs.config_facts import facts_of_config, flatten
from unplateau.runs.foreign_logs.symptoms import symptoms_in
from unplateau.runs.foreign_logs.text_lines import COUNT
from unplateau.runs.foreign_logs.training_log import LogFacts

_TRAIN_ROW = re.compile(rf"^\W*train\W+({COUNT})\s*\|\s*({COUNT})\s*\|")
_NUM_CLASSES = re.compile(rf"(?:num_classes|out_features)=({COUNT})")
_CLASSIFIER = re.compile(rf"\((?:classifier|cls_layer|fc)\): Linear\(in_features=({COUNT}), out_features=({COUNT})")
_BOTTLENECK = re.compile(r"\(bottleneck\)")
_NORM = re.compile(rf"BatchNorm(?:1d|2d)?\(({COUNT}),")
_CONFIG_BEGINS = re.compile(r"(?:running with|full) config:?\s*$|config_file=|Namespace\(", re.IGNORECASE)
_YAML_LINE = re.compile(r"^(?:[A-Z][A-Z0-9_]*:|\s+[A-Za-z][A-Za-z0-9_]*:|\s*- )")
_LONGEST_CONFIG = 2000  # lines


class TextFacts:
    """Collects facts while lines stream by."""

    def __init__(self) -> None:
        self.symptoms: list[str] = []
        self.config: dict[str, Any] = {}
        self._num_identities: int | None = None
        self._num_images: int | None = None
        self._feature_dim: int | None = None
        self._yaml: list[str] = []
        self._after_bottleneck = False

    def read(self, line: str) -> None:
        """Look at one line."""
        for code in symptoms_in(line):
            if code not in self.symptoms:
                self.symptoms.append(code)
        self._read_model(line)
        if row := _TRAIN_ROW.match(line):
            self._num_identities, self._num_images = int(row[1]), int(row[2])
        self._read_config(line)

    def facts(self, *, iterations_per_epoch: int | None = None) -> LogFacts:
        """Return what was found; a printed configuration fills what tables and the model left open."""
        self._close_config()
        found = LogFacts(num_identities=self._num_identities, num_images=self._num_images, feature_dim=self._feature_dim)
        return found.filled_from(facts_of_config(self.config, iterations_per_epoch=iterations_per_epoch))

    def _read_model(self, line: str) -> None:
        if layer := _CLASSIFIER.search(line):
            self._feature_dim, self._num_identities = int(layer[1]), int(layer[2])
        elif self._num_identities is None and (count := _NUM_CLASSES.search(line)):
            self._num_identities = int(count[1]) or None
        if self._after_bottleneck and (norm := _NORM.search(line)):
            self._feature_dim = int(norm[1])
            self._after_bottleneck = False
        if _BOTTLENECK.search(line):
            self._after_bottleneck = True

    def _read_config(self, line: str) -> None:
        if _YAML_LINE.match(line) and len(self._yaml) < _LONGEST_CONFIG:
            self._yaml.append(line)
        elif self._yaml:
            self._close_config()

    def _close_config(self) -> None:
        text, self._yaml = "\n".join(self._yaml), []
        if "SOLVER:" not in text:
            return
        self.config = flatten(plain_tree(text)) or self.config
