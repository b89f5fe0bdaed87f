def sources() -> None:
    """x"""
