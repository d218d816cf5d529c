#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens report pages in headless Chromium as readers do, and fails on what they would stumble over.

Usage: browser.py ARTIFACTS PAGE NAME [CHART...]
Looks at PAGE on a desk in light and in dark, on a phone, on paper, and by keyboard alone. NAME must stand in its title as it
is. Every figure must have drawn something; each CHART must be there. Screenshots go to the folder ARTIFACTS."""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

DEADLINE = 60  # seconds, for any one thing


class Browser:
    """Chromium over its debugging pipe: messages end with a zero byte."""

    def __init__(self, profile):
        to_child, self.out = os.pipe()
        self.inp, from_child = os.pipe()

        def pipes():
            # by way of high numbers: either may be 3 or 4 already
            a, b = os.dup2(to_child, 103), os.dup2(from_child, 104)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             f"--user-data-dir={profile}", "--remote-debugging-pipe", "--force-device-scale-factor=1", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.buffer, self.last, self.session, self.complaints, self.loaded = b"", 0, None, [], False

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def receive(self):
        while b"\0" not in self.buffer:
            more = os.read(self.inp, 1 << 20)
            if not more:
                sys.exit("the browser has gone")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def note(self, event):
        name, params = event.get("method"), event.get("params", {})
        if name == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif name == "Runtime.consoleAPICalled" or name == "Log.entryAdded":
            self.complaints.append(json.dumps(params)[:500])
        elif name == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "data:", "about:")):
            self.complaints.append("asked for " + params["request"]["url"][:200])
        elif name == "Page.loadEventFired":
            self.loaded = True

    def call(self, method, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") != self.last:
                self.note(answer)
            elif "error" in answer:
                sys.exit(f"{method}: {answer['error']}")
            else:
                return answer["result"]

    def attach(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            sys.exit(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def dress(self, scheme, width, media=""):
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)

    def open(self, page):
        self.loaded = False
        self.call("Page.navigate", url=pathlib.Path(page).resolve().as_uri())
        until = time.monotonic() + DEADLINE
        while not self.loaded:
            if time.monotonic() > until:
                sys.exit("the page does not load")
            self.note(self.receive())
        # two frames later everything that follows the size has been drawn again
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def press(self, key, code):
        for kind in ("rawKeyDown", "char", "keyUp") if key == "Enter" else ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      text="\r" if kind == "char" else "")

    def shoot(self, path):
        png = base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        pathlib.Path(path).write_bytes(png)
        return len(png)


# What each figure has drawn besides its axes: elements with an extent and a colour.
DRAWN = """[...document.querySelectorAll("figure[data-chart]")].map((figure) => ({
    kind: figure.dataset.chart,
    title: figure.querySelector("figcaption").textContent,
    label: figure.querySelector("svg")?.getAttribute("aria-label"),
    marks: [...figure.querySelectorAll(
        "svg g[aria-label=bar] rect, svg g[aria-label=rule] line, svg g[aria-label=line] path, svg g[aria-label=dot] :is(path, circle)")]
        .filter((mark) => {
            const box = mark.getBoundingClientRect(), style = getComputedStyle(mark);
            return box.width + box.height > 2 && box.right <= innerWidth + 1 && (style.fill !== "none" || style.stroke !== "none");
        }).length}))"""
LIGHTNESS = """(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number);
    return (r + g + b) / 3; })()"""
FOCUSED = "(() => { const e = document.activeElement; return [e.tagName, e.className, e.getAttribute('aria-label') ?? e.textContent]; })()"
failures = []


def expect(condition, what):
    if not condition:
        failures.append(what)


def look(browser, view, page, name, charts, picture):
    browser.open(page)
    drawn = browser.evaluate(DRAWN)
    for figure in drawn:
        expect(figure["marks"] > 1 and figure["label"], f"{view}: nothing drawn in {figure['title']}")
    for chart in charts:
        expect(any(figure["kind"] == chart for figure in drawn), f"{view}: no chart {chart}")
    expect(name in browser.evaluate("document.title"), f"{view}: the title is not the name")
    expect(browser.evaluate("document.getElementById('summary').textContent.length") > 20, f"{view}: no summary")
    expect(browser.evaluate("document.querySelectorAll('img, main b, main script, iframe').length") == 0,
           f"{view}: a name became markup")
    width = browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    expect(width <= 0, f"{view}: wider than the window by {width}")
    expect(browser.shoot(picture) > 10000, f"{view}: an empty picture")
    print(f"{view}: {len(drawn)} charts, {sum(figure['marks'] for figure in drawn)} marks")


def type_through(browser):
    """Everything that can be used is reached by Tab, and Enter opens the values of a chart."""
    summaries = browser.evaluate("document.querySelectorAll('summary').length")
    browser.press("Tab", 9)
    expect(browser.evaluate(FOCUSED)[1] == "skip", "keyboard: the first stop is not the link to the results")
    reached, opened = 0, False
    for _ in range(4 * summaries + 40):
        browser.press("Tab", 9)
        tag = browser.evaluate(FOCUSED)[0]
        reached += tag == "SUMMARY"
        if tag == "SUMMARY" and not opened:
            browser.press("Enter", 13)
            opened = browser.evaluate("document.activeElement.parentElement.open")
            expect(opened, "keyboard: Enter opens no values")
        if reached >= summaries:
            break
    expect(reached >= summaries, f"keyboard: {reached} of {summaries} values reached")
    print(f"keyboard: {reached} of {summaries} values reached")


def main():
    artifacts, page, name, *charts = sys.argv[1:]
    folder = pathlib.Path(artifacts)
    folder.mkdir(parents=True, exist_ok=True)
    stem = pathlib.Path(page).stem
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            browser.attach()
            for view, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 375)):
                browser.dress(scheme, width)
                look(browser, view, page, name, charts, folder / f"{stem}-{view}.png")
                light = browser.evaluate(LIGHTNESS)
                expect(light < 60 if scheme == "dark" else light > 200, f"{view}: paper of lightness {light}")
            browser.dress("dark", 1280)
            browser.open(page)
            if charts:
                type_through(browser)
            browser.dress("dark", 1280, "print")
            expect(browser.evaluate(LIGHTNESS) == 255, "print: the paper is not white")
            browser.dress("light", 1280)
            pdf = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
            expect(pdf.startswith(b"%PDF") and len(pdf) > 10000, "print: no PDF")
            (folder / f"{stem}.pdf").write_bytes(pdf)
            print(f"print: {len(pdf)} bytes of PDF")
        finally:
            browser.close()
    failures.extend("the console says: " + complaint for complaint in browser.complaints)
    for failure in failures:
        print("FAIL:", failure)
    return 1 if failures else 0


sys.exit(main())
