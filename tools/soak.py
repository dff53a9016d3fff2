"""Holds thousands of idle connections and hundreds of streams on `samp serve` and watches it.

    python3 tools/soak.py build/release/samp MODEL [--seconds 600] [--idle 5000] [--streams 500]
                          [--tokens 64:400] [--out soak.json] [-- OPTIONS OF samp serve]

Starts the server with those options. One process keeps the streams going: each asks for the next
answer as soon as one has ended, and about one in a hundred leaves in the middle of it. Another keeps the
idle connections and asks /health on one after the other, each once a minute, so that the server
never finds one idle for too long; that is the latency told. Says no (exit code 1) when anything
failed, when memory grew by more than 2 % and 2 MB once the first two minutes (or the first third)
were over, or when the 99th percentile of /health is above 50 ms. Needs nothing but Python and Linux.
build/release/test_command_serve_signals --model makes a model of 0.5 MB and prints its folder.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time

END = b"data: [DONE]\n\n\r\n0\r\n\r\n"
USAGE = re.compile(rb'"completion_tokens":(\d+)')


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Streams:
    """All streams: sockets, and of each the last bytes that came."""

    def __init__(self, port, n, tokens, end):
        self.port, self.tokens, self.end = port, tokens, end
        self.poll, self.open, self.errors = select.epoll(), {}, []
        self.answers = self.left = self.n_tokens = self.n_bytes = 0
        for _ in range(n):
            self.begin()

    def begin(self):
        s = connect(self.port)
        self.poll.register(s.fileno(), select.EPOLLIN)
        self.open[s.fileno()] = [s, b"", True]
        self.ask(s.fileno())

    def ask(self, fd):
        body = json.dumps({"prompt": f"{random.random()} is", "max_tokens": random.randint(*self.tokens),
                           "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}).encode()
        self.open[fd][1:] = [b"", True]
        self.open[fd][0].sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                                 % (len(body), body))

    def drop(self, fd, reason=None):
        self.poll.unregister(fd)
        self.open.pop(fd)[0].close()
        self.errors += [f"stream: {reason}"] if reason else []
        self.begin()

    def take(self, fd):
        s, tail, is_first = self.open[fd]
        data = s.recv(1 << 18)
        self.n_bytes += len(data)
        if not data or is_first and not data.startswith(b"HTTP/1.1 200") or b'{"error"' in data:
            return self.drop(fd, repr(data[:200]))
        tail = (tail + data)[-600:]
        if tail.endswith(END):
            self.answers += 1
            self.n_tokens += int(USAGE.findall(tail)[-1])
            return self.ask(fd) if time.monotonic() < self.end else None
        self.open[fd][1:] = [tail, False]
        if random.random() < 1e-4:
            self.left += 1
            self.drop(fd)

    def run(self):
        while time.monotonic() < self.end:
            for fd, _ in self.poll.poll(0.5):
                self.take(fd)
        return {"answers": self.answers, "tokens": self.n_tokens, "left": self.left, "bytes": self.n_bytes,
                "errors": self.errors}


def run_idle(port, n, end):
    """Latencies of /health in ms, how late this process asked, and what went wrong."""
    sockets = [connect(port) for _ in range(n)]
    poll, by_fd, errors, asked, latencies, lates = select.epoll(), {s.fileno(): s for s in sockets}, [], {}, [], []
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    step, due, i = 60 / n, time.monotonic(), 0
    while (now := time.monotonic()) < end:
        for fd, _ in poll.poll(max(due - now, 0)):
            data = by_fd[fd].recv(4096)
            if not data.startswith(b"HTTP/1.1 200") or fd not in asked:
                errors.append(f"idle: {data[:100]!r}")
                poll.unregister(fd)
            else:
                latencies.append((time.monotonic() - asked.pop(fd)) * 1e3)
        while (now := time.monotonic()) >= due:
            fd = sockets[i % n].fileno()
            if fd in asked:
                errors.append("idle: no answer for a minute")
            lates.append((now - due) * 1e3)
            asked[fd], due, i = now, due + step, i + 1
            by_fd[fd].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    return {"latencies": sorted(latencies), "lates": sorted(lates), "errors": errors}


def in_child(function):
    ours, theirs = multiprocessing.Pipe(False)

    def work():
        try:
            theirs.send(function())
        except Exception as error:  # the server ended, say: a result like any other
            theirs.send({"errors": [repr(error)], "answers": 0, "tokens": 0, "left": 0, "bytes": 0,
                         "latencies": [], "lates": []})
    multiprocessing.Process(target=work, daemon=True).start()
    return ours


def quantile(values, q):
    return round(values[int(q * (len(values) - 1))], 3) if values else None


def start(samp, model, options):
    server = subprocess.Popen([samp, "serve", model, "--listen", "127.0.0.1:0", *options], stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, text=True)
    port = None
    for line in server.stderr:
        print("server:", line.strip())
        port = port or line.startswith("listening") and int(line.rsplit(":", 1)[1])
        if line.startswith("ready"):
            return server, port, line.strip()
    sys.exit("the server did not start")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("samp", "model"):
        p.add_argument(name)
    for name, initial in (("--seconds", 600), ("--idle", 5000), ("--streams", 500)):
        p.add_argument(name, type=int, default=initial)
    p.add_argument("--tokens", default="64:400", help="of an answer, from:to")
    p.add_argument("--out", help="a JSON file for the figures")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    o, options = p.parse_args(sys.argv[1:split]), sys.argv[split + 1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server, port, about = start(o.samp, o.model, options)
    end = time.monotonic() + o.seconds
    tokens = tuple(int(x) for x in o.tokens.split(":"))
    streams = in_child(lambda: Streams(port, o.streams, tokens, end).run())
    idle = in_child(lambda: run_idle(port, o.idle, end))
    rss = []
    while time.monotonic() < end and server.poll() is None:
        time.sleep(max(min(10, end - time.monotonic()), 0))
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        rss.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)
        print(f"{len(rss) * 10} s: {rss[-1]:.1f} MB, load {os.getloadavg()[0]:.1f}", flush=True)
    s, h = streams.recv(), idle.recv()
    ticks = pathlib.Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    server.send_signal(signal.SIGTERM)
    code = server.wait(60)
    errors = s["errors"] + h["errors"] + ([f"exit code {code}"] if code else [])
    settled = rss[min(12, len(rss) // 3):]
    k = max(len(settled) // 5, 1)
    before, after = (sum(part) / len(part) for part in (settled[:k], settled[-k:]))
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    p99 = quantile(h["latencies"], .99)
    out = {"date": time.strftime("%Y-%m-%d"), "commit": commit, "seconds": o.seconds,
           "machine": f"{cpu[1] if cpu else '?'}, {os.cpu_count()} processors, load {os.getloadavg()[1]:.1f} (5 min)",
           "server": about, "options": " ".join(options), "idle_connections": o.idle, "streams": o.streams,
           "tokens_an_answer": o.tokens, "answers": s["answers"], "tokens": s["tokens"], "megabytes": s["bytes"] // 10**6,
           "streams_left_midway": s["left"], "errors": len(errors), "first_errors": errors[:5],
           "health_ms": {"n": len(h["latencies"]), "p50": quantile(h["latencies"], .5), "p99": p99,
                         "max": quantile(h["latencies"], 1)},
           "asked_late_ms": {"p50": quantile(h["lates"], .5), "p99": quantile(h["lates"], .99)},
           "server_cpu_seconds": sum(int(t) for t in ticks) / os.sysconf("SC_CLK_TCK"),
           "rss_mb": {"settled": round(before, 1), "last": round(after, 1), "max": round(max(rss), 1),
                      "every_10_s": [round(x, 1) for x in rss]}}
    is_good = not errors and p99 is not None and p99 <= 50 and after - before <= max(.02 * before, 2)
    text = json.dumps(out | {"verdict": "good" if is_good else "bad"}, indent=1)
    print(text)
    if o.out:
        pathlib.Path(o.out).write_text(text + "\n")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
