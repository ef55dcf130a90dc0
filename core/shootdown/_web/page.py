"""The page: a form whose every change asks for an answer. It works without scripts too, by its button."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from shootdown._report.document_html import STYLE
from shootdown._report.story_page import STYLE as STORY_STYLE
from shootdown._web.asking import Asked

POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

LOOKS = f"""{STYLE}{STORY_STYLE}
form {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr));
  gap: .7rem 1rem; align-items: end; }}
label {{ display: block; font-size: .9em; color: var(--soft); }}
input, select, textarea, button {{ width: 100%; font: inherit; color: var(--ink); background: var(--card);
  border: 1px solid var(--rule); border-radius: 4px; padding: .35rem .5rem; }}
button {{ cursor: pointer; }} .wide {{ grid-column: 1 / -1; }}
#state {{ min-height: 1.6rem; color: var(--soft); }}
#answer[aria-busy="true"] {{ opacity: .55; }}
"""

SCRIPT = """"use strict";
const form = document.querySelector("form"), answer = document.querySelector("#answer");
const state = document.querySelector("#state"), command = document.querySelector("#command");
const choices = JSON.parse(document.querySelector("#choices").textContent);
let running = null, timer = null;
function query() {
  const found = new URLSearchParams();  // the button is no part of it: it asks where there are no scripts
  for (const [name, value] of new FormData(form)) {
    for (const line of name === "p" || name === "set" ? value.split(/\\s+/) : [value.trim()])
      if (line) found.append(name, line);
  }
  return found;
}
async function ask() {
  if (running) running.abort();
  const mine = running = new AbortController();
  const words = query().toString();
  history.replaceState(null, "", "?" + words);
  answer.setAttribute("aria-busy", "true");
  state.textContent = "computing ...";
  try {
    const got = await fetch("answer?" + words, {signal: mine.signal});
    const value = await got.json();
    answer.innerHTML = value.html;
    command.textContent = value.command;
    state.textContent = got.ok ? "" : "not answered:";
  } catch (error) {
    if (error.name === "AbortError") return;
    state.textContent = "the server does not answer";
  }
  if (running === mine) answer.removeAttribute("aria-busy");
}
function later() { clearTimeout(timer); timer = setTimeout(ask, 400); }
function offer() {
  const one = choices.programs[form.program.value];
  document.querySelector("#about").textContent = one ? one.summary : "";
  document.querySelector("#known").textContent = one ? one.parameters.map(p => p.name + "=" + p.default).join(" ") : "";
}
form.addEventListener("input", later);
form.addEventListener("submit", event => { event.preventDefault(); ask(); });
form.program.addEventListener("change", () => { form.p.value = ""; offer(); });
form.arch.addEventListener("change", () => {
  form.platform.replaceChildren(new Option("its first", ""));
  for (const name of choices.platforms[form.arch.value] || []) form.platform.add(new Option(name, name));
});
document.querySelector("#copy").addEventListener("click", async () => {
  try { await navigator.clipboard.writeText(command.textContent); state.textContent = "copied"; }
  catch { getSelection().selectAllChildren(command); state.textContent = "selected: copy it"; }
});
offer();
ask();
"""


def page(offered: Mapping[str, Any], asked: Asked, answer: str) -> str:
    """Return the page of one request.

    Args:
        offered: what there is to choose.
        asked: the request.
        answer: HTML.
    """
    # In a script element nothing but its end is read as markup.
    data = json.dumps(offered).replace("<", "\\u003c")
    fields = "".join(
        (
            _field("Program", _options("program", asked.program, _programs(offered))),
            _field("Architecture", _options("arch", asked.arch, [("", list(offered["platforms"]))])),
            _field(
                "Platform", _options("platform", asked.platform, [("", offered["platforms"][asked.arch])])
            ),
            _field("Releases, by commas", _input("kernels", ",".join(asked.kernels))),
            _field(
                "CPUs", _input("cpus", "" if asked.cpus is None else str(asked.cpus), 'inputmode="numeric"')
            ),
            _field("Parameters, name=value", _input("p", _pairs(asked.parameters))),
            _field("What if, kernel.NAME=value", _input("set", _pairs(asked.settings), 'list="switches"')),
        )
    )
    switches = "".join(f'<option value="{escape(name)}=">' for name in offered["switches"])
    summary = offered["programs"][asked.program]["summary"]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>shootdown: what if</title>\n'
        '<link rel="stylesheet" href="looks.css">\n<script src="app.js" defer></script>\n</head>\n<body>\n<main>\n'
        f'<h1>shootdown: what if</h1>\n<form method="get" action="./">{fields}'
        '<button type="submit" name="now" value="1">Answer</button></form>\n'
        f'<datalist id="switches">{switches}</datalist>\n'
        f'<p class="soft"><span id="about">{escape(summary)}</span><br>Parameters: <code id="known"></code></p>\n'
        f'<pre tabindex="0"><code id="command">{escape(asked.command())}</code></pre>\n'
        '<button id="copy" type="button" style="width:auto">Copy the command</button>\n'
        f'<p id="state" role="status" aria-live="polite"></p>\n<div id="answer">{answer}</div>\n'
        f'<script type="application/json" id="choices">{data}</script>\n</main>\n</body>\n</html>\n'
    )


def _programs(offered: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    return [("counted", offered["workloads"]), ("explored", offered["scenarios"])]


def _field(name: str, inner: str) -> str:
    return f"<label>{escape(name)}{inner}</label>"


def _input(name: str, value: str, more: str = "") -> str:
    return f'<input name="{name}" value="{escape(value)}" maxlength="400" autocomplete="off" {more}>'


def _options(name: str, chosen: str, groups: list[tuple[str, list[str]]]) -> str:
    found = ""
    for group, names in groups:
        inner = "".join(
            f"<option{' selected' if one == chosen else ''}>{escape(one)}</option>" for one in names
        )
        found += f'<optgroup label="{escape(group)}">{inner}</optgroup>' if group else inner
    return f'<select name="{name}">{found}</select>'


def _pairs(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
