"""How the small networks beside the generators are trained."""
