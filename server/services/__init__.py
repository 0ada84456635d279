"""Use cases that web and worker share, from a validated request to a stored task and its webhook.

submit.py      submit a task, and retry an earlier one                             options.py   how to run a task
uploads.py     the uploads of a submit                                             client.py    submit from Python
publish.py     records and messages of any number of tasks, in one step            status.py    the status object
receivers.py   webhooks that fail
throttling.py  limits of a task type     schedules.py, cron.py  schedules          webhooks.py  signatures and URLs
"""
