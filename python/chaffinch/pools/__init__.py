"""Pools of templates: which one asks what a row asks, and with which demonstrations."""
