"""The queue over HTTP: the twin of the command line, over the same library calls.

Needs the extra ``http``; nothing but ``spool serve`` imports it.  ``app`` puts it together,
``serving`` runs it; ``api`` is what can be asked, ``contract`` says so in OpenAPI, and ``guard``
and ``protocol`` refuse what should not be asked at all.
"""
