"""The template as CloudFormation sees it."""

import pytest

from tests.infra.templates import Json, translate


@pytest.fixture
def template() -> Json:
    return translate()
