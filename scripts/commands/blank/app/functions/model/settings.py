"""Your settings: each is declared once, and read by both halves, scripts/dev and the tests."""

from functions.contract.setting import Setting

settings: list[Setting] = []
