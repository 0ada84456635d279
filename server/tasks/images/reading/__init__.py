"""Turns an upload into a frame.

source    opens an upload as an image, within the limits
formats   the input formats, recognized by their bytes, and the memory that each needs
png, gif  files that are checked or drawn here, because Pillow differs from browsers
jpeg      files that are decoded at a part of their size
vips      PNG decoded by libvips, also at a part of its size, if it is installed
failures  converts errors of the libraries to errors of the task
"""
