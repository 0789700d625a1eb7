"""The units under a real systemd, and the crontab under a real cron.

They need root and a few Debian packages, which CI installs; the tests are marked slow.
"""
