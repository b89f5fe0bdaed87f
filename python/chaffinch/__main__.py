"""`python -m chaffinch`."""

from chaffinch.cli import main

main()
