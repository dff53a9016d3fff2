"""Chats through the server's built-in page in a headless Chromium, wide and narrow.

    python3 tools/check_page.py http://127.0.0.1:8000 [--pictures FOLDER] [--question TEXT]

Types a question, sends it with Enter, waits for the answer and its figures, stops another answer,
clears; sees that nothing is wider than the window and that the page logged no error. Exit code 77:
there is no Chromium. Speaks the DevTools protocol through the browser's pipe (JSON texts, each
ended by a NUL), so it needs nothing but Python.
"""
import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

SIZES = {"wide": (1200, 760), "narrow": (420, 800)}


class Browser:
    def __init__(self, program, folder):
        to_read, self.to = os.pipe()
        self.out, out_write = os.pipe()
        # The browser reads from descriptor 3 and writes to 4; the shell puts them there.
        command = [program, "--headless", "--no-sandbox", "--disable-gpu",
                   "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-extensions",
                   "--hide-scrollbars", f"--user-data-dir={folder}", "--remote-debugging-pipe",
                   "about:blank"]
        shell = f'exec "$@" 3<&{to_read} 4>&{out_write}'
        self.process = subprocess.Popen(["bash", "-c", shell, "bash", *command],
                                        pass_fds=(to_read, out_write), stderr=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        os.close(to_read)
        os.close(out_write)
        self.rest = b""
        self.number = 0
        self.events = []
        self.session = None

    def receive(self):
        while b"\0" not in self.rest:
            piece = os.read(self.out, 1 << 16)
            if not piece:
                sys.exit("check_page: the browser ended")
            self.rest += piece
        text, self.rest = self.rest.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"check_page: {method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def open_tab(self):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        self.call("Page.enable")
        self.call("Runtime.enable")

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit(f"check_page: {expression}: {result['exceptionDetails']['text']}")
        return result["result"].get("value")

    def wait(self, expression, what, seconds=60):
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > end:
                thrown = [e["params"]["exceptionDetails"].get("exception", {}).get("description")
                          for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
                seen = self.value("document.body.innerText.slice(-700)")
                sys.exit(f"check_page: {what} did not come within {seconds} s; seen: {seen!r}, "
                         f"thrown: {thrown}")
            time.sleep(0.05)

    def say(self, text):
        self.value("document.getElementById('text').focus()")
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                      windowsVirtualKeyCode=13)


LAST = "[...document.querySelectorAll('.m.assistant')].at(-1)"
SEND = "document.getElementById('send').textContent"
# Clears as soon as an answer under way has text: seen from outside, a fast one would be over.
CLEAR_WHILE_ANSWERING = """{
    const send = document.getElementById("send");
    window.cleared = false;
    new MutationObserver((_, observer) => {
        const text = [...document.querySelectorAll(".m.assistant")].at(-1)?.textContent;
        if (send.textContent !== "Stop" || running === null || !text || text === "…") return;
        observer.disconnect();
        document.getElementById("clear").click();
        window.cleared = true;
    }).observe(document.body, {childList: true, characterData: true, subtree: true});
}"""


def check(browser, url, name, question, pictures):
    width, height = SIZES[name]
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=url)
    browser.wait("document.getElementById('dot')?.className === 'on'", "the page's green dot")
    browser.value("document.getElementById('temperature').value = 0")
    browser.value("document.getElementById('max_tokens').value = 60")
    browser.say(question)
    browser.wait(f"{LAST}?.querySelector('small')", "the answer and its figures")
    answer = browser.value(f"{LAST}.textContent")
    if browser.value("document.querySelector('.error') !== null") or len(answer) < 10:
        sys.exit(f"check_page: {name}: the answer is {answer!r}")
    browser.say("And another one, please.")
    browser.wait("document.querySelectorAll('.m.assistant small').length === 2", "a second answer")
    time.sleep(1.5)  # a point or two in the plot
    if pictures:
        picture = browser.call("Page.captureScreenshot", format="png")["data"]
        with open(os.path.join(pictures, f"page_{name}.png"), "wb") as file:
            file.write(base64.b64decode(picture))
    if browser.value("document.documentElement.scrollWidth > innerWidth"):
        sys.exit(f"check_page: {name}: the page is wider than its window")
    browser.value("document.getElementById('max_tokens').value = 400")
    browser.value(CLEAR_WHILE_ANSWERING)
    browser.say("This one is stopped.")
    browser.wait("window.cleared", "the answer that Clear stops")
    browser.wait("document.getElementById('empty') !== null", "the empty page")
    time.sleep(0.2)
    if browser.value("messages.length || running !== null") or browser.value(SEND) != "Send":
        sys.exit(f"check_page: {name}: something is left after Clear")
    return answer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--pictures", help="a folder for page_wide.png and page_narrow.png")
    parser.add_argument("--question", default="What is the capital of France?")
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("chromium-browser") or \
        shutil.which("google-chrome")
    if not program:
        print("check_page: skipped: there is no Chromium here")
        sys.exit(77)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(program, folder)
        try:
            browser.open_tab()
            for name in SIZES:
                answer = check(browser, options.url, name, options.question, options.pictures)
                print(f"check_page: {name}: {answer[:200]!r}")
            errors = [e for e in browser.events if e.get("method") == "Runtime.exceptionThrown"]
            if errors:
                sys.exit(f"check_page: the page threw {errors[0]['params']['exceptionDetails']}")
        finally:
            browser.process.terminate()
            browser.process.wait()


main()
