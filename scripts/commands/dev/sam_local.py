"""Prints the function's settings for `sam local`, where what the template's refer to is missing.

`python -m scripts.commands.dev.sam_local`: JSON as `sam local start-api --env-vars` takes it.
"""

import json

from functions.contract.session import SAMPLE_SECRET
from functions.contract.setting import development
from functions.model.settings import settings as declared

DATA = "/tmp"  # the one folder that a function can write to

if __name__ == "__main__":
    own = development(declared, DATA)
    ours = {"STAGE": "development", "SESSION_SECRET": SAMPLE_SECRET, "BUS": ""}
    print(json.dumps({"Pages": own | ours}, indent=2))
