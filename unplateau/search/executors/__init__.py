"""Where trials run: one contract (`contract`), and an executor for this machine, for Ray and for Slurm."""
