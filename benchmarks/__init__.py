"""How fast spoolcalc is, each figure beside what it is held against, all from one run."""
