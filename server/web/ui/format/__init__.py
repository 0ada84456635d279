"""Formats values for pages.

words.py times, sizes, states and summaries; attempts.py the waterfall; plots.py SVG; cron_words.py cron lines.
"""
