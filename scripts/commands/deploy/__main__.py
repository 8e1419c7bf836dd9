"""Puts everything into an AWS account, or what has changed since: image, function, stack.

Prints the address at the end. Whatever fails says why and what to do; running it again goes on
where it failed.
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
        help="the processor of both halves; arm64 if nothing is said",
    )
    parser.add_argument("--min-hosts", type=int, metavar="N", help="socket hosts that always run")
    parser.add_argument("--max-hosts", type=int, metavar="N", help="and that may; bounds the cost")
    parser.add_argument(
        "--domain", metavar="NAME", help="a domain name of yours; needs a certificate"
    )
    parser.add_argument("--certificate", metavar="ARN", help="an ACM certificate, in us-east-1")
    parser.add_argument("--web-acl", metavar="ARN", help="an AWS WAF web ACL, in us-east-1")
    parser.add_argument(
        "--bus",
        choices=("sns", "valkey"),
        help="what carries events between hosts; docs/costs.md says which when",
    )
    parser.add_argument(
        "--keep-data",
        action=argparse.BooleanOptionalAction,
        help="whether scripts/destroy leaves what DataOnDelete in the template is about",
    )
    parser.add_argument(
        "--parameter",
        type=arguments.parameter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of your own, from your part of infra/template.yaml; may be repeated",
    )
    parser.add_argument(
        "--page", metavar="PATH", help="what scripts/doctor examines in place of /, such as /about"
    )
    parser.add_argument(
        "--session", metavar="COOKIE", help="the session it comes with, where pages ask for a login"
    )
    parser.add_argument(
        "--namespace",
        metavar="PATH",
        help="the namespace in which it connects, where yours has no /",
    )
    return parser.parse_args()


def main() -> None:
    """Deploy, and print the address; exit with 1 and the reason if that fails."""
    options = _options()
    try:
        address = Deployment.begin(options).run()
    except UnfitError as error:
        sys.exit(f"scripts/deploy cannot begin:\n{error}")
    except StepError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"Stopped. What AWS has begun goes on there. {AGAIN}")
    print(address)


if __name__ == "__main__":
    main()
