"""Examples: the moons script, and losses for readers who come from HIPS autograd."""
