"""What every walk needs, imported and read once by the process that they are forked from."""

from tests.chaos.walk import factors_of_the_walk

factors_of_the_walk()
