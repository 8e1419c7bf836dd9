"""The small app's pages, as a Lambda handler."""

import os

from mangum import Mangum

from functions.app import create_app
from functions.web.front_doors import FRONT_DOORS
from functions.web.settings import Settings
from tests.small_app import pages
from tests.small_app.model.settings import settings

app = create_app(Settings.from_environ(os.environ, settings), pages)
handler = Mangum(app, lifespan="off", custom_handlers=FRONT_DOORS)
