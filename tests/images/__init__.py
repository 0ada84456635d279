"""Tests of the image tasks, on functions and real images. The tasks over HTTP are tested beside the other journeys."""
