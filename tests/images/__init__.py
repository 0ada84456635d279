"""Tests of the image tasks, on functions and real images. `test_over_http.py` tests them over HTTP."""
