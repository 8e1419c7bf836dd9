"""What can be in front of the function in AWS. The template uses an HTTP API."""

from mangum.types import LambdaHandler

from functions.web.http_api import HttpApi
from functions.web.load_balancer import LoadBalancer
from functions.web.rest_api import RestApi

FRONT_DOORS: list[type[LambdaHandler]] = [HttpApi, LoadBalancer, RestApi]
