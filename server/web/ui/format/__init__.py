"""Formats values for pages.

filters.py times, sizes, states and summaries; attempts.py the waterfall; plots.py SVG; cron_text.py cron lines.
"""
