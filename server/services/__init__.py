"""Use cases that web and worker share, from a validated request to a stored task and its webhook.

submit.py      submit a task; store any number of tasks in one step                retry.py     retry tasks
uploads.py     the uploads of a submit                                             options.py   how to run a task
client.py      submit from Python                                                  status.py    the status object
schedules.py, cron.py  schedules                                                   errors.py    errors of a request
throttling.py  limits of a task type     failures.py  reports of failures          webhooks.py  webhooks, receivers
"""
