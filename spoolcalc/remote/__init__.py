"""A spool that is elsewhere: what the commands ask of a directory, asked of a server.

``connection`` talks HTTP, with the standard library alone; ``shapes`` makes of what it says the
values that the library has; ``spool`` is the front, with the methods of ``Spool`` that it needs.
"""
