"""`python -m openautoglm` is `openautoglm`."""

from openautoglm.cli.main import main

if __name__ == "__main__":
    main()
