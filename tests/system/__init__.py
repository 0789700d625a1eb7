"""The units under a real systemd, and the crontab under a real cron.

They need root and Debian's systemd-container, dbus and cron, and are apart from the other tests:
`make system` runs them.
"""
