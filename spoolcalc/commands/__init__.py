"""What the commands do, below the parsing of their options.

Each takes parsed values and returns the exit code; both ways into the command, the quick one and
typer's, end here.  There is a module for each command or a few that belong together, so that a
plain form loads its own alone.
"""
