"""One measurement a file: numbers with units, never a verdict and no threshold. Judging them: `unplateau.diagnosis`.

Costs are given as B, one forward and backward pass, and F, one forward pass. A probe that trains is handed a step function and is
run inside `leave_no_trace.untouched`. Reading a measurement synchronises the device, once a probe.
"""
