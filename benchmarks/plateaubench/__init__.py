"""PlateauBench: trainings with planted faults, to measure how well a diagnoser names what is wrong: docs/plateaubench.md."""
