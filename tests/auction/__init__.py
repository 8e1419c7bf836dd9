"""An auction: a second app, written as by a team that has read docs/ but not our code."""
