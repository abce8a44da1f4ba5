"""What pixels are: stacks, axes, units, counts and network range, tiles. No torch."""
