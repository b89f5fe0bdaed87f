"""Drop-in replacements: existing code changes one import."""
