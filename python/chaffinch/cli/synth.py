def synth() -> None:
    """x"""
