"""How long mapping takes, beside the standard library and nodemailer's mailparser, in one run.

Run: `python -m tests.bench.mapping [--seconds 1.0] [--memory]`. Mailparser takes part when `TESTS_NODE_MODULES` names a
`node_modules` directory that holds it and `node` is on the path; else the last line says what is missing.

`--memory` adds the peak in multiples of the message. On the small ones it is objects and buffers of a size that hardly depends on the
message: some 50 KB at 2 KB, some 200 KB at 20 KB (orjson sets eight octets aside for each character of a text, up to 64 K characters).
"""

import argparse
import base64
import email
import email.header
import email.message
import email.policy
import email.utils
import json
import os
import quopri
import random
import re
import shutil
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from qboxrelay.intake.compose import compose
from qboxrelay.mime.parse import parse
from qboxrelay.model.address import Address
from qboxrelay.settings.schema.mapping import MappingSettings

_HEADER = """\
Received: from app.example.com (app.example.com [192.0.2.7])\r
 by relay.example.com with ESMTP id 4XyZ12; Tue, 14 Apr 2026 10:00:00 +0200\r
From: =?utf-8?Q?Caff=C3=A8_Roma?= <shop@example.com>\r
To: "Rossi, Anna" <anna.rossi@example.net>, Bob <bob@example.org>\r
Cc: carol@example.net\r
Reply-To: Support <support@example.com>\r
Subject: =?utf-8?B?WW91ciBvcmRlciAxMjM0NSDigJMgY29uZmlybWVk?=\r
Date: Tue, 14 Apr 2026 10:00:00 +0200\r
Message-ID: <20260414100000.12345.67890@app.example.com>\r
References: <1.2.3@example.com> <4.5.6@example.com>\r
 <7.8.9@example.com>\r
List-Unsubscribe: <mailto:unsubscribe@example.com?subject=list>,\r
 <https://example.com/u?id=12345>\r
X-Mailer: Shop 4.2\r
X-Campaign: spring\r
MIME-Version: 1.0\r
"""
_TEXT = """\
Hello Anna,

thank you for your order at Caffè Roma. We have
received it and will ship it tomorrow morning.

  2 x Espresso forte 250 g      11.80 EUR
  1 x Filter paper no. 4         3.20 EUR
  1 x Moka pot, 6 cups          24.90 EUR
  ---------------------------------------
  Total incl. 22% VAT           39.90 EUR

Track your parcel:
https://shop.example.com/track?id=4711&key=ab12

Kind regards
Caffè Roma · https://shop.example.com

"""
_HTML_ROW = """\
    <tr>
      <td class="item" width="60%">
        <a href="https://shop.example.com/p/4711">Espresso forte</a>
      </td>
      <td class="amount">2</td>
      <td class="price">11,80&nbsp;€</td>
    </tr>
"""
SETTINGS = MappingSettings()
TRANSACTION = "01KB2X7C9M4V3T8ZQ0R6S5W1YE"
SENDER = Address("bounce", "example.com")
RECIPIENTS = (
    Address("anna.rossi", "example.net"),
    Address("bob", "example.org"),
    Address("carol", "example.net"),
    Address("hidden", "example.org"),
)


def _filled(text: str, size: int) -> str:
    """`text` again and again, whole lines, up to `size`."""
    lines = (text * (size // len(text) + 1))[:size].split("\n")[:-1]
    return "\r\n".join(lines) + "\r\n"


def _quoted_printable(text: str) -> str:
    return quopri.encodestring(text.replace("\r\n", "\n").encode()).decode("ascii").replace("\n", "\r\n")


def text_mail(size: int) -> bytes:
    """One 8-bit text part."""
    head = 'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
    return (_HEADER + head + _filled(_TEXT, size)).encode()


def alternative_mail(size: int) -> bytes:
    """A quarter text, the rest HTML, both quoted-printable."""
    encoded = "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    text = _quoted_printable(_filled(_TEXT, size // 4))
    html = _quoted_printable(_filled(_HTML_ROW, size * 3 // 4))
    mark = "=_b1_5f2c0a9e7d"
    body = (
        f"--{mark}\r\nContent-Type: text/plain; charset=utf-8\r\n{encoded}{text}\r\n"
        f"--{mark}\r\nContent-Type: text/html; charset=utf-8\r\n{encoded}{html}\r\n--{mark}--\r\n"
    )
    return (_HEADER + f'Content-Type: multipart/alternative; boundary="{mark}"\r\n\r\n' + body).encode()


def attachment_mail(size: int) -> bytes:
    """Text and one base64 attachment."""
    mark = "=_b2_9a1b3c5d7e"
    content = base64.encodebytes(random.Random(size).randbytes(size)).replace(b"\n", b"\r\n")
    head = (
        f'{_HEADER}Content-Type: multipart/mixed; boundary="{mark}"\r\n\r\n'
        f"--{mark}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{_filled(_TEXT, 500)}\r\n"
        f'--{mark}\r\nContent-Type: application/pdf; name="scan.pdf"\r\n'
        f'Content-Disposition: attachment; filename="scan.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    )
    return head.encode() + content + f"\r\n--{mark}--\r\n".encode()


MAILS: dict[str, bytes] = {
    "2 KB text": text_mail(2_000),
    "20 KB alternative": alternative_mail(20_000),
    "1 MB attachment": attachment_mail(1_000_000),
    "10 MB attachment": attachment_mail(10_000_000),
}


def qboxrelay(raw: bytes) -> bytes:
    """This project."""
    composed = compose(
        parse(raw),
        transaction_id=TRANSACTION,
        sender=SENDER,
        recipients=RECIPIENTS,
        settings=SETTINGS,
        max_submission_bytes=49_000_000,
    )
    return composed.drafts[0].payload


def policy_default(raw: bytes) -> bytes:
    """The standard library as its documentation recommends it, walked to the same JSON."""
    message = email.message_from_bytes(raw, policy=email.policy.default)

    def pairs(field: str) -> list[tuple[str, str]]:
        return [
            (address.display_name, address.addr_spec)
            for header in message.get_all(field, [])
            for address in header.addresses
        ]

    return json.dumps(_entry(message, pairs, str), separators=(",", ":"), ensure_ascii=False).encode()


def policy_compat32(raw: bytes) -> bytes:
    """The standard library with its older policy and a quicker JSON writer, walked to the same JSON."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)

    def pairs(field: str) -> list[tuple[str, str]]:
        found = email.utils.getaddresses([str(value) for value in message.get_all(field, [])])
        return [(_decoded(name), address) for name, address in found if address]

    return orjson.dumps(_entry(message, pairs, _decoded))


_STRUCTURAL = {"from", "to", "cc", "bcc", "subject", "reply-to", "mime-version", "received", "date"}
_CID = re.compile(r"cid:([^\s\"'>]+)")


def _decoded(value: str) -> str:
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value)
    return str(email.header.make_header(email.header.decode_header(unfolded)))


def _entry(
    message: Any, pairs: Callable[[str], list[tuple[str, str]]], decoded: Callable[[Any], str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"from": _mailbox(*pairs("from")[0])}
    waiting = {str(recipient).casefold(): str(recipient) for recipient in RECIPIENTS}
    for field in ("to", "cc"):
        shown = [
            _mailbox(name, waiting.pop(address.casefold()))
            for name, address in pairs(field)
            if address.casefold() in waiting
        ]
        if shown:
            entry[field] = shown
    if waiting:
        entry["bcc"] = [_mailbox("", address) for address in waiting.values()]
    entry["headers"] = {"X-Qboxrelay-Id": f"{TRANSACTION}-1"} | {
        name: decoded(value)
        for name, value in message.items()
        if name.lower() not in _STRUCTURAL and not name.lower().startswith("content-")
    }
    entry["reply_to"] = [_mailbox(name, address) for name, address in pairs("reply-to")]
    entry["subject"] = decoded(message["subject"])
    _walk(message, entry)
    return entry


def _mailbox(name: str, address: str) -> dict[str, str]:
    return {"address": address, "name": name} if name else {"address": address}


def _walk(message: Any, entry: dict[str, Any]) -> None:
    leaves = []
    for part in message.walk():
        if part.is_multipart():
            continue
        octets = part.get_payload(decode=True)
        kind = part.get_content_type()
        if kind in {"text/plain", "text/html"} and part.get_content_disposition() != "attachment":
            key = "text_body" if kind == "text/plain" else "html_body"
            entry[key] = octets.decode(part.get_content_charset("utf-8"), "replace").replace("\r\n", "\n")
        else:
            leaves.append((part, kind, octets))
    referred = set(_CID.findall(entry.get("html_body", "")))
    for part, kind, octets in leaves:
        attachment = {"filename": part.get_filename(), "content_type": kind, "disposition": "attachment"}
        content_id = (part["content-id"] or "").strip("<> ")
        if content_id in referred:
            attachment |= {"disposition": "inline", "content_id": content_id}
        attachment["content"] = base64.b64encode(octets).decode()
        entry.setdefault("attachments", []).append(attachment)


def check_same(raw: bytes) -> None:
    """All three say the same, so that what is compared is the same work."""
    ours = orjson.loads(qboxrelay(raw))
    for other in (policy_default, policy_compat32):
        theirs = orjson.loads(other(raw))
        if theirs != ours:
            differ = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
            raise SystemExit(f"{other.__name__} says something else in {differ}")


def best_time(work: Callable[[bytes], bytes], raw: bytes, seconds: float) -> float:
    """The quickest of the runs that fit into `seconds`, three at least."""
    best = float("inf")
    runs = 0
    end = time.perf_counter() + seconds
    while runs < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        work(raw)
        best = min(best, time.perf_counter() - start)
        runs += 1
    return best


def peak_memory(work: Callable[[bytes], bytes], raw: bytes) -> float:
    """The peak while mapping, in multiples of the message, the message itself included."""
    tracemalloc.start()
    work(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return 1 + peak / len(raw)


_MAILPARSER = """
const {simpleParser} = require(process.env.TESTS_NODE_MODULES + '/mailparser');
(async () => {
  const raw = require('fs').readFileSync(0); const end = performance.now() + 1000 * Number(process.argv[1]); let best = Infinity, runs = 0;
  while (runs < 3 || performance.now() < end) {
    const start = performance.now(); const mail = await simpleParser(raw);
    JSON.stringify({from: mail.from, to: mail.to, cc: mail.cc, subject: mail.subject, text_body: mail.text, html_body: mail.html,
      headers: [...mail.headers.keys()], attachments: mail.attachments.map(a => ({filename: a.filename, content_type: a.contentType,
      content: a.content.toString('base64')}))});
    best = Math.min(best, performance.now() - start); runs++;
  }
  console.log(best / 1000);
})();
"""


def why_no_mailparser() -> str | None:
    """What is missing for nodemailer's parser to take part; None when nothing is."""
    modules = os.environ.get("TESTS_NODE_MODULES", "")
    if shutil.which("node") is None:
        return "node is not on the path"
    if not modules:
        return "TESTS_NODE_MODULES is not set"
    return None if (Path(modules) / "mailparser").is_dir() else f"TESTS_NODE_MODULES={modules} holds no mailparser"


def mailparser_time(raw: bytes, seconds: float) -> float:
    """Nodemailer's parser, warmed up by its own runs."""
    run = subprocess.run(["node", "-e", _MAILPARSER, str(seconds)], input=raw, stdout=subprocess.PIPE, check=True)
    return float(run.stdout)


def main() -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seconds", type=float, default=1.0)
    ask.add_argument("--memory", action="store_true")
    options = ask.parse_args()
    missing = why_no_mailparser()
    print(f"{'µs a message':20} {'qboxrelay':>10} {'default':>10} {'':>7} {'compat32':>10} {'':>7} {'mailparser':>10}")
    for name, raw in MAILS.items():
        check_same(raw)
        ours = best_time(qboxrelay, raw, options.seconds)
        default = best_time(policy_default, raw, options.seconds)
        compat = best_time(policy_compat32, raw, options.seconds)
        parser = None if missing else mailparser_time(raw, options.seconds)
        print(
            f"{name:20} {ours * 1e6:10.0f} {default * 1e6:10.0f} {default / ours:6.1f}x {compat * 1e6:10.0f} {compat / ours:6.1f}x"
            + (f" {parser * 1e6:10.0f} {parser / ours:6.1f}x" if parser else f" {'-':>10}")
        )
        if options.memory:
            print(f"{'':20} peak memory {peak_memory(qboxrelay, raw):.2f} times the message")
    if missing:
        print(f"mailparser is not compared: {missing} (npm install mailparser@3.7.2)")


if __name__ == "__main__":
    main()
