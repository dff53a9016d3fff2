#!/usr/bin/env python3
"""Writes tests/golden/choices.tsv: log-likelihoods of multiple choice questions by
lm-evaluation-harness, which is not ours; or, with --compare, checks answers of `samp eval` with it.

usage: golden_choices.py MODEL_DIR DATA_DIR OUT.tsv          (DATA_DIR: ../shared/data)
       golden_choices.py --compare OUT.tsv ANSWERS.jsonl TASK SHOTS
needs lm-eval 0.4.13, torch, transformers, datasets, zstandard's command-line tool zstd

The tasks are the harness' own (its YAML files and functions), but for where the questions come from:
2 questions of each of MMLU's 57 subjects without examples, one of every third subject with 5; and
the first 10 of ARC Challenge, HellaSwag and WinoGrande. A line: task, shots, number of the question in its file,
right choice, log-likelihoods. The harness runs in float32.
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

MMLU_QUESTIONS, MMLU_SHOTS, EVERY, OTHER_QUESTIONS = 2, 5, 3, 10


def harness_config(name):
    """A task's YAML with its !function members and what it includes."""
    import lm_eval
    from lm_eval.tasks._yaml_loader import load_yaml
    root = pathlib.Path(lm_eval.__file__).parent / "tasks"
    path = next(p for folder in ("mmlu/default", "arc", "hellaswag", "winogrande")
                for p in (root / folder).glob("*.yaml") if p.stem in (name, "default")
                and load_yaml(p)["task"] == name)
    config = load_yaml(path)
    for key in ("include", "tag", "group", "task_alias"):
        config.pop(key, None)
    return config


def local(config, files):
    config.update(dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files})
    return config


def save(rows, path):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def mmlu_rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [{"question": r[0], "choices": r[1:5], "answer": "ABCD".index(r[5])}
                for r in csv.reader(file)]


def mmlu_tasks(data, work):
    subprocess.run(["tar", "-I", "zstd", "-xf", str(data / "mmlu.tar.zst"), "-C", str(work)],
                   check=True)
    for i, path in enumerate(sorted((work / "mmlu/test").glob("*.csv"))):
        subject = path.stem.removesuffix("_test")
        files = {
            "test": save(mmlu_rows(path), work / f"{subject}.jsonl"),
            "dev": save(mmlu_rows(work / f"mmlu/dev/{subject}_dev.csv"), work / f"{subject}_dev.jsonl"),
        }
        yield subject, 0, MMLU_QUESTIONS, local(harness_config(f"mmlu_{subject}"), files)
        if i % EVERY == 0:
            yield subject, MMLU_SHOTS, 1, local(harness_config(f"mmlu_{subject}"), files)


def other_tasks(data, work):
    def lines(name):
        return [json.loads(line) for line in open(data / name, encoding="utf-8")]

    arc = [{"question": r["question"], "answerKey": r["answer"],
            "choices": {"text": [o["text"] for o in r["options"]],
                        "label": [o["label"] for o in r["options"]]}}
           for r in lines("arc/arc_challenge_test.jsonl")[:OTHER_QUESTIONS]]
    yield ("arc_challenge", 0, OTHER_QUESTIONS,
           local(harness_config("arc_challenge"), {"test": save(arc, work / "arc.jsonl")}))
    hellaswag = lines("hellaswag/hellaswag_val_part.jsonl")[:OTHER_QUESTIONS]
    yield ("hellaswag_val_part", 0, OTHER_QUESTIONS,
           local(harness_config("hellaswag"), {"validation": save(hellaswag, work / "hs.jsonl")}))
    winogrande = []
    for row in lines("winogrande/winogrande.jsonl")[:OTHER_QUESTIONS]:
        a, b = row["context_options"]
        stem = os.path.commonprefix([a, b])
        winogrande.append({"sentence": stem + "_ " + row["continuation"], "option1": a[len(stem):],
                           "option2": b[len(stem):], "answer": str(row["gold"] + 1)})
    yield ("winogrande", 0, OTHER_QUESTIONS,
           local(harness_config("winogrande"), {"validation": save(winogrande, work / "wg.jsonl")}))


def run(model_dir, data, out):
    import lm_eval
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM
    model = HFLM(pretrained=model_dir, dtype="float32", device="cpu", batch_size=4)
    batches = {}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name, shots, limit, config in [*mmlu_tasks(data, work), *other_tasks(data, work)]:
            config.update(task=name, num_fewshot=shots)
            for split in ("training_split", "validation_split"):
                if config.get(split) not in config["dataset_kwargs"]["data_files"]:
                    config.pop(split, None)
            batches.setdefault((shots, limit), []).append(ConfigurableTask(config=config))
        samples = []
        for (shots, limit), tasks in batches.items():
            result = lm_eval.simple_evaluate(model=model, tasks=tasks, limit=limit,
                                             num_fewshot=shots, log_samples=True,
                                             bootstrap_iters=0)
            samples += [(name, shots, sample) for name, of_task in result["samples"].items()
                        for sample in of_task]
    lines = []
    for name, shots, sample in samples:
        values = [response[0][0] for response in sample["resps"]]
        right = sample["doc"]["answer"] == "2" if name == "winogrande" else sample["target"]
        lines.append([name, shots, sample["doc_id"] + 1, int(right)] + [f"{v:.6f}" for v in values])
    pathlib.Path(out).write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


def compare(golden, answers, only, shots):
    """Largest difference of a log-likelihood, and both accuracies. `only`: a task, or mmlu."""
    expected = {}
    others = {"arc_challenge", "hellaswag_val_part", "winogrande"}
    for line in open(golden):
        name, n, number, right, *values = line.split("\t")
        if n == shots and (name == only or only == "mmlu" and name not in others):
            expected[name, number] = int(right), [float(v) for v in values]
    worst, right_here, right_there, n, total = 0.0, 0, 0, 0, 0.0
    count = {}
    for line in open(answers):
        row = json.loads(line)
        count[row["subject"]] = count.get(row["subject"], 0) + 1
        key = row["subject"], str(count[row["subject"]])
        if key not in expected:
            continue
        right, values = expected[key]
        assert right == row["answer"], key
        worst = max(worst, *(abs(a - b) for a, b in zip(values, row["log_likelihoods"], strict=True)))
        total += sum(abs(a - b) for a, b in zip(values, row["log_likelihoods"])) / len(values)
        right_here += row["picked"] == right
        right_there += values.index(max(values)) == right
        n += 1
    print(f"{only} {shots}-shot: {n} of {len(expected)} questions, "
          f"log-likelihoods differ by {worst:.2e} at most, {total / n:.2e} on average, "
          f"right {right_here} here and {right_there} there")


if __name__ == "__main__":
    if sys.argv[1] == "--compare":
        compare(*sys.argv[2:6])
    else:
        run(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3])
