"""For all tests: no example of Hypothesis is timed, as a slow machine must change no outcome."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
