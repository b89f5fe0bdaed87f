"""The stages after reading: pure functions of the store, the rows still in, and their part of the recipe."""
