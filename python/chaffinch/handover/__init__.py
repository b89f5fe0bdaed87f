"""Hand-over to trainers: tokenised documents, packs of them, and the files that each trainer takes."""
