"""How pages write things: words.py times, sizes, states and summaries; attempts.py the waterfall; plots.py SVG;
cron_words.py a cron line in words.
"""
