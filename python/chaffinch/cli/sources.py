def sources() -> None:
    """X"""
