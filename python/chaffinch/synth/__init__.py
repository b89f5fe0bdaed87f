"""Makes corpora with known answers, for demonstrations, tests and benchmarks."""

from chaffinch.synth.corpus import ITEMS, PLANTED, TRUTH, synthesise
from chaffinch.synth.plan import VERSION
from chaffinch.synth.profiles import PROFILES

__all__ = ["ITEMS", "PLANTED", "PROFILES", "TRUTH", "VERSION", "synthesise"]
