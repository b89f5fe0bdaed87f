"""`rouge-score` 0.1.2."""
