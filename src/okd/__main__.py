"""`python -m okd` is `okd`."""

from okd.cli import main

main()
