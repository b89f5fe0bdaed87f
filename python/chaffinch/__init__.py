"""Picks the rows worth training on, and says why each of the others went."""
