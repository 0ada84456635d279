"""Writes frames to a file: `output` has a client's options, `codecs` the formats, `metadata` the kept metadata."""
