"""Training on packs: what a trainer needs to keep the documents of a pack apart. Needs torch."""
