"""``python -m steadygrad``: the command line, where its script is not on the path."""

from steadygrad.program import main

if __name__ == "__main__":
    main()
