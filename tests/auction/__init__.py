"""An auction: a second app, written as a team would that reads docs/ and no module of ours."""
