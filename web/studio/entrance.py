"""What somebody sees who has not been let in: plain HTML without a script."""

from __future__ import annotations

from html import escape

from web.studio import texts

_PAGE = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 17px/1.5 system-ui, sans-serif; color: #17212b; background: #f4f6f8; margin: 0; }}
main {{ max-width: 26rem; margin: 12vh auto; padding: 2rem; background: #fff; border: 1px solid #d4dbe2;
        border-radius: 12px; }}
@media (max-width: 30rem) {{ main {{ margin: 1rem; padding: 1.25rem; }} }}
h1 {{ font-size: 1.5rem; margin: 0 0 1rem; }} label {{ display: block; font-weight: 600; }}
input, button {{ font: inherit; box-sizing: border-box; width: 100%; padding: .6rem .75rem; border-radius: 8px; }}
input {{ border: 1px solid #6b7a89; margin: .35rem 0 1rem; }}
button {{ border: 0; background: #0b5a8f; color: #fff; font-weight: 600; cursor: pointer; }}
:focus-visible {{ outline: 3px solid #f0a800; outline-offset: 2px; }}
.wrong {{ color: #a1160b; font-weight: 600; }}
</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"""


def by_token(*, is_wrong: bool = False) -> str:
    """The form that asks for a token."""
    wrong = f'<p class="wrong" role="alert">{escape(texts.TOKEN_WRONG)}</p>' if is_wrong else ""
    return _page(f"""{wrong}<form method="post" action="/studio/enter">
<label for="token">{escape(texts.TOKEN_LABEL)}</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus>
<button>{escape(texts.TOKEN_BUTTON)}</button></form><p>{escape(texts.TOKEN_HELP)}</p>""")


def by_key() -> str:
    """How to open a studio that was started by `cloak studio`."""
    return _page(f"<p>{escape(texts.KEY_HELP)}</p>")


def _page(body: str) -> str:
    return _PAGE.format(language=texts.LANGUAGE, title=escape(texts.TITLE), body=body)
