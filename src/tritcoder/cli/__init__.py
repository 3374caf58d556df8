"""One program, one verb a file."""


def main() -> None:
    """The `tritcoder` command."""
    from tritcoder.cli.app import run

    run()
