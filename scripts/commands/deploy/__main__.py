"""Deploys the site to an AWS account: builds the image and the function, and updates the stack.

Only what has changed is built. Prints the site's address at the end. If a step fails, correct the
cause and run this again: it continues from there.
"""

import argparse
import sys

from scripts.commands.deploy import architecture, arguments
from scripts.commands.deploy.deployment import AGAIN, Deployment, UnfitError
from scripts.commands.deploy.step import StepError


def _options() -> argparse.Namespace:
    parser = arguments.parser("scripts/deploy", __doc__)
    parser.add_argument(
        "--architecture",
        choices=architecture.KNOWN,
        help="processor of both halves (default arm64)",
    )
    parser.add_argument(
        "--min-hosts", type=int, metavar="N", help="smallest number of socket hosts"
    )
    parser.add_argument(
        "--max-hosts", type=int, metavar="N", help="largest number; limits the cost"
    )
    parser.add_argument("--domain", metavar="NAME", help="your domain name; needs --certificate")
    parser.add_argument("--certificate", metavar="ARN", help="ACM certificate for it, in us-east-1")
    parser.add_argument("--web-acl", metavar="ARN", help="AWS WAF web ACL, in us-east-1")
    parser.add_argument(
        "--bus",
        choices=("sns", "valkey"),
        help="what carries events between hosts; see docs/costs.md for which to choose",
    )
    parser.add_argument(
        "--keep-data",
        action=argparse.BooleanOptionalAction,
        help="whether scripts/destroy keeps the data (DataOnDelete in the template)",
    )
    parser.add_argument(
        "--parameter",
        type=arguments.parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of a parameter in your part of infra/template.yaml; may be repeated",
    )
    parser.add_argument(
        "--page",
        metavar="PATH",
        help="page that scripts/doctor examines (default /), such as /about",
    )
    parser.add_argument(
        "--session", metavar="COOKIE", help="session that it sends, if pages ask for a login"
    )
    parser.add_argument(
        "--namespace",
        metavar="PATH",
        help="namespace that it connects to (default /)",
    )
    return parser.parse_args()


def main() -> None:
    """Deploy, and print the address; exit with 1 and the reason if that fails."""
    options = _options()
    try:
        address = Deployment.begin(options).run()
    except UnfitError as error:
        sys.exit(f"scripts/deploy cannot start:\n{error}")
    except StepError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"Stopped. Operations that AWS has started continue there. {AGAIN}")
    print(address)


if __name__ == "__main__":
    main()
