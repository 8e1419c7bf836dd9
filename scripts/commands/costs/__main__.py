"""Writes the costs to docs/costs.md and README.md, from prices.toml and the template."""

import argparse
import sys

from scripts import ROOT
from scripts.commands.costs import prices
from scripts.commands.costs.deployment import Deployment
from scripts.commands.costs.documents import NoBlockError, written
from scripts.commands.costs.sums import Sums


def main() -> None:
    """Write the documents; exit with 1 and a message if one has no place for its costs."""
    argparse.ArgumentParser(prog="scripts/costs", description=__doc__).parse_args()
    sums = Sums(prices.read(), Deployment.read(ROOT / "infra/template.yaml"))
    try:
        documents = written(ROOT, sums)
    except NoBlockError as error:
        sys.exit(str(error))
    for path, text in documents.items():
        (ROOT / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
