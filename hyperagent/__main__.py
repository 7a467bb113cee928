"""``python -m hyperagent``"""

from hyperagent.cli import main

if __name__ == "__main__":
    main()
