"""From file to file: one, many, region by region, on workers, and again."""
