"""What a training makes beside generators: small networks, statistics of its images."""
