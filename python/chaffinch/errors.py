"""The package's own exceptions. Files that cannot be opened stay `OSError`."""


class DataError(ValueError):
    """The data is not what the recipe or the format promises."""


class RecipeError(ValueError):
    """The recipe cannot mean what it says."""


class CacheWarning(UserWarning):
    """A file of the cache is damaged, and what it held is made again."""
