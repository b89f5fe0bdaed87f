"""How well a model does: scores, leaderboards."""
