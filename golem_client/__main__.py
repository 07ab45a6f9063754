"""`python -m golem_client` is the command `golem-promise`."""

from golem_client.cli import main

if __name__ == "__main__":
    main()
