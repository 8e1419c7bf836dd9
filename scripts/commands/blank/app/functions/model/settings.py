"""Your settings: declare each once, for both halves, scripts/dev and the tests."""

from functions.contract.setting import Setting

settings: list[Setting] = []
