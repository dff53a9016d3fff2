#!/usr/bin/env python3
"""The official OpenAI client against a running server: every kind of answer, streamed and not, and
errors as its exception classes.

    samp serve MODEL &
    python3 tools/check_openai_client.py http://127.0.0.1:8000/v1

Needs the package openai. Prints a line a check; ends with 1 when one fails."""
import asyncio
import json
import sys
import urllib.request

import openai

base = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/v1"
client = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
model = client.models.list().data[0].id
hello = [{"role": "user", "content": "Say hello in one short sentence."}]
failed = 0


def check(name, good, more=""):
    global failed
    failed += not good
    print(f"{'ok  ' if good else 'FAIL'} {name} {more}")


def raises(name, kind, **request):
    try:
        client.chat.completions.create(model=request.pop("model", model),
                                       messages=request.pop("messages", hello), **request)
        check(name, False, "no error")
    except openai.APIStatusError as e:
        check(name, type(e) is kind, f"{type(e).__name__} {e.status_code} {e.param} {e.code}")


def chat():
    a = client.chat.completions.create(model=model, messages=hello, max_tokens=12, temperature=0)
    check("chat", a.choices[0].message.content and a.usage.total_tokens ==
          a.usage.prompt_tokens + a.usage.completion_tokens, repr(a.choices[0].message.content))
    stream = client.chat.completions.create(model=model, messages=hello, max_tokens=12,
                                            temperature=0, stream=True,
                                            stream_options={"include_usage": True})
    text, usage, finish = "", None, None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    check("chat streamed equals whole", text == a.choices[0].message.content, repr(text))
    check("stream's usage", usage and usage.completion_tokens == a.usage.completion_tokens)
    check("stream's finish_reason", finish == a.choices[0].finish_reason, finish)
    a = client.chat.completions.create(model=model, messages=hello, max_tokens=6, logprobs=True,
                                       top_logprobs=3, n=2, seed=7)
    check("n and logprobs", len(a.choices) == 2 and all(
        len(t.top_logprobs) == 3 and t.logprob <= 0 for c in a.choices
        for t in c.logprobs.content))
    b = client.chat.completions.create(model=model, messages=hello, max_tokens=6, logprobs=True,
                                       top_logprobs=3, n=2, seed=7)
    check("the same seed, the same answer", [c.message.content for c in a.choices] ==
          [c.message.content for c in b.choices])
    parts = [{"role": "system", "content": "Be brief."},
             {"role": "user", "content": [{"type": "text", "text": "Hi"},
                                          {"type": "text", "text": "there"}]}]
    a = client.chat.completions.create(model=model, messages=parts, max_tokens=2)
    check("content in parts", a.choices[0].message.role == "assistant")
    a = client.chat.completions.create(model=model, messages=hello, max_tokens=64, temperature=0,
                                       stop=["!", "."])
    check("stop strings", a.choices[0].finish_reason == "stop" and
          "!" not in a.choices[0].message.content, repr(a.choices[0].message.content))


def structured():
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12},
                                               "size": {"enum": ["small", "large"]}},
              "required": ["city", "size"], "additionalProperties": False}
    a = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Describe a city."}], max_tokens=80,
        temperature=0, response_format={"type": "json_schema", "json_schema": {
            "name": "city", "strict": True, "schema": schema}})
    value = json.loads(a.choices[0].message.content)
    check("json_schema", list(value) == ["city", "size"] and value["size"] in ("small", "large"),
          a.choices[0].message.content)
    a = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Some JSON, please."}], max_tokens=120,
        temperature=0, response_format={"type": "json_object"})
    if a.choices[0].finish_reason == "stop":
        check("json_object", isinstance(json.loads(a.choices[0].message.content), dict))
    raises("an unsupported schema is named", openai.BadRequestError, response_format={
        "type": "json_schema", "json_schema": {"name": "x", "schema": {"contains": {}}}})


def completions():
    a = client.completions.create(model=model, prompt="The capital of France is", max_tokens=3,
                                  temperature=0, logprobs=2)
    check("completion", a.choices[0].text and len(a.choices[0].logprobs.tokens) == 3,
          repr(a.choices[0].text))
    a = client.completions.create(model=model, prompt=["One", "Two"], max_tokens=2, n=2, seed=1)
    check("several prompts and choices", [c.index for c in a.choices] == [0, 1, 2, 3])
    a = client.completions.create(model=model, prompt=[504, 3575], max_tokens=0, echo=True,
                                  logprobs=1)
    check("echo scores a prompt", a.choices[0].logprobs.token_logprobs[0] is None and
          a.choices[0].logprobs.token_logprobs[1] < 0 and a.usage.completion_tokens == 0)
    text = "".join(c.choices[0].text for c in client.completions.create(
        model=model, prompt="The capital of France is", max_tokens=3, temperature=0, stream=True)
        if c.choices)
    b = client.completions.create(model=model, prompt="The capital of France is", max_tokens=3,
                                  temperature=0)
    check("completion streamed", text == b.choices[0].text, repr(text))
    a = client.completions.create(model=model, prompt="Hi", max_tokens=1,
                                  extra_body={"prompt_logprobs": 1, "return_token_ids": True,
                                              "ignore_eos": True, "min_tokens": 1})
    check("vLLM's fields", a.choices[0].model_extra["token_ids"] is not None)


def errors():
    raises("unknown model", openai.NotFoundError, model="nonsense")
    raises("temperature out of range", openai.BadRequestError, temperature=3)
    raises("unknown field", openai.BadRequestError, extra_body={"temprature": 1})
    raises("empty messages", openai.BadRequestError, messages=[])
    raises("unknown role", openai.BadRequestError, messages=[{"role": "cat", "content": "x"}])
    raises("n too large", openai.BadRequestError, n=1000)
    raises("too long", openai.BadRequestError,
           messages=[{"role": "user", "content": "word " * 40000}])


async def asynchronous():
    a = openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0)
    answers = await asyncio.gather(*[a.chat.completions.create(
        model=model, messages=hello, max_tokens=8, temperature=0) for _ in range(8)])
    check("eight at once, all the same", len({x.choices[0].message.content for x in answers}) == 1)
    text = ""
    stream = await a.chat.completions.create(model=model, messages=hello, max_tokens=8,
                                             temperature=0, stream=True)
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""
    check("async stream", text == answers[0].choices[0].message.content)
    stream = await a.chat.completions.create(model=model, messages=hello, max_tokens=200,
                                             stream=True)
    async for chunk in stream:
        break
    await stream.close()
    await a.close()


def post(path, body):
    request = urllib.request.Request(base.rsplit("/v1", 1)[0] + path, json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def tokens():
    a = post("/tokenize", {"prompt": "Hello world", "return_token_strs": True})
    b = post("/detokenize", {"tokens": a["tokens"]})
    check("tokenize and back", b["prompt"] == "Hello world" and a["count"] == len(a["tokens"]))


chat()
structured()
completions()
errors()
tokens()
asyncio.run(asynchronous())
check("the model by name", client.models.retrieve(model).id == model)
print(f"{failed} failed")
sys.exit(failed > 0)
