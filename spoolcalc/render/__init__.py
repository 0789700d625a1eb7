r"""Values to text: lines for pipes, tables for terminals, JSON for programs.

In a pipe a job is one line of tab-separated fields, in the order of ``jobs.FIELDS``; a field
without a value is ``-``; tab, newline and backslash inside a field are written as ``\t``, ``\n``,
``\\``.  JSON is one object with ``"schema": 1``; times are RFC 3339, UTC.
"""
