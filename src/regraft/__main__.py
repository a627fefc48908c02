"""``python -m regraft``: the command line where the script is not on the path, as under ``torchrun -m regraft tune ...``."""

from regraft.cli.__main__ import main

if __name__ == "__main__":
    main()
