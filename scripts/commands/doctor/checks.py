"""The checks, in the order a request travels: each depends only on earlier ones."""

from scripts.commands.doctor import (
    compression,
    conversation,
    headers,
    origins,
    pages,
    redirects,
    sessions,
    sockets,
    static_files,
    stickiness,
)
from scripts.commands.doctor.examination import Check

PAGES, REDIRECTS, FILES = "Pages", "Redirects", "Static files"
SOCKETS, WHO, TALK = "Socket path", "Who may connect", "Conversation"

_SESSION = ("page", "session-cookie")
_POLLS = ("post", "sticky")
_LET_IN = (*_SESSION, "socket", "own-origin", "session")

CHECKS = (
    Check(PAGES, "page", pages.page),
    Check(PAGES, "not-found", pages.not_found, ("page",)),
    Check(PAGES, "not-cached", pages.pages_not_cached, ("page",)),
    Check(PAGES, "compressed", compression.pages, ("page",)),
    Check(PAGES, "csp", headers.content_security_policy, ("page",)),
    Check(PAGES, "nosniff", headers.nosniff, ("page",)),
    Check(PAGES, "hsts", headers.hsts, ("page",)),
    Check(PAGES, "session-cookie", pages.session_cookie, ("page",)),
    Check(PAGES, "session-kept", pages.session_kept, _SESSION),
    Check(REDIRECTS, "one-redirect", redirects.at_most_one, ("page",)),
    Check(REDIRECTS, "trailing-slash", redirects.trailing_slash, ("page", "one-redirect")),
    Check(REDIRECTS, "post-kept", redirects.post_kept, ("page", "one-redirect")),
    Check(REDIRECTS, "stays-here", redirects.stay_here, ("page",)),
    Check(REDIRECTS, "https", redirects.http_to_https),
    Check(FILES, "files-kept", static_files.kept, ("page",)),
    Check(FILES, "files-compressed", compression.scripts, ("page", "files-kept")),
    Check(FILES, "files-cookieless", static_files.without_cookies, ("page",)),
    Check(SOCKETS, "socket", sockets.with_slash),
    Check(SOCKETS, "socket-no-slash", sockets.without_slash),
    Check(SOCKETS, "post", sockets.post, ("socket", "socket-no-slash")),
    Check(SOCKETS, "websocket", sockets.websocket, ("socket",)),
    Check(SOCKETS, "sticky", stickiness.sticky, ("socket", "post")),
    Check(SOCKETS, "websocket-elsewhere", sockets.websocket_elsewhere),
    Check(SOCKETS, "health", sockets.health_hidden),
    Check(WHO, "own-origin", origins.own, ("socket",)),
    Check(WHO, "foreign-origin", origins.foreign, ("socket",)),
    Check(WHO, "session", sessions.accepted, (*_SESSION, "socket", "websocket")),
    Check(WHO, "no-session", sessions.refused, ("socket", "websocket")),
    Check(TALK, "by-polling", conversation.by_polling, (*_POLLS, *_LET_IN)),
    Check(TALK, "by-websocket", conversation.by_websocket, ("websocket", *_LET_IN)),
    Check(TALK, "by-upgrade", conversation.by_upgrade, ("websocket", *_POLLS, *_LET_IN)),
    Check(TALK, "broadcast", conversation.broadcast, ("websocket", *_LET_IN)),
)
