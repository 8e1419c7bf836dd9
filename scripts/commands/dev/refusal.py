"""The edge's own error responses: a page for a browser, plain text for other clients."""

import html

from aiohttp import web

_STATE = "Sidepath-Function"  # tells the page below whether the function still fails


class RefusedError(Exception):
    """The edge responds instead of an origin; `detail` may be a traceback."""

    def __init__(
        self, status: int, sentence: str, detail: str = "", *, close: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.detail = detail
        self.close = close  # the connection cannot be used for anything else
        self.until_saved = False  # every request gets this response until a file is saved

    def response(self, accept: str) -> web.Response:
        """Return the response in a form that fits the request's Accept header."""
        if "text/html" in accept:
            response = web.Response(text=self._page(), content_type="text/html")
        else:
            response = web.Response(text="\n\n".join(filter(None, [self.sentence, self.detail])))
        response.set_status(self.status)
        response.headers["Cache-Control"] = "no-store"
        if self.until_saved:
            response.headers[_STATE] = "broken"
        if self.close:
            response.force_close()
        return response

    def _page(self) -> str:
        return _PAGE.format(
            status=self.status,
            sentence=html.escape(self.sentence),
            detail=f"<pre>{html.escape(self.detail)}</pre>" if self.detail else "",
            script=_RELOAD if self.until_saved else "",
        )


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{status}: {sentence}</title>
<style>
  :root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
  body {{ margin: 3rem auto; max-width: 60rem; padding: 0 1.5rem; }}
  h1 {{ font-size: 1.25rem; overflow-wrap: anywhere; }}
  pre {{ border: 1px solid color-mix(in srgb, currentcolor 25%, transparent); border-radius: .5rem;
         font-size: .875rem; overflow-x: auto; padding: 1rem; }}
  p {{ opacity: .75; }}
</style>
<h1>{sentence}</h1>
{detail}
<p>Status {status}, from the local edge of scripts/dev.</p>
{script}
</html>
"""

_RELOAD = f"""<p role="status">This page reloads by itself after the next save.</p>
<script>
  setInterval(async () => {{
    const answer = await fetch(location.href, {{ method: "HEAD" }}).catch(() => null);
    if (answer && !answer.headers.has("{_STATE}")) location.replace(location.href);
  }}, 1000);
</script>"""
