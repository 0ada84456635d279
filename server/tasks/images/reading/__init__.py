"""From an upload to a frame.

source    an upload opened as an image, within the limits
kinds     the formats that are read, known by their bytes, and what each costs
png, gif  files that are checked or drawn here, because Pillow does it in another way than browsers
vips      PNG decoded by libvips, where it is installed
failures  errors of the libraries as errors of the task
"""
