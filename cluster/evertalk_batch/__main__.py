"""`python -m evertalk_batch` is `evertalk-batch`."""

from .cli import run_and_exit

if __name__ == "__main__":
    run_and_exit()
