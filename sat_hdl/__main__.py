"""``python -m sat_hdl``: the command ``sat-hdl``."""

from sat_hdl.cli import main

if __name__ == "__main__":
    main()
